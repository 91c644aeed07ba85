"""The compiled wheel of `make dist`: the same bytes each time, taken only where it fits, installed by pipx and by uv.

It takes minutes, gcc and a package index. MESHD_DIST names a folder of packages that are built already, with
SOURCE_DATE_EPOCH=1700000000 and `systemd/dist.py --packages`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.packages.distribution import ROOT, built, moved
from tests.support.waiting import until

MINOR = f"3.{sys.version_info.minor}"
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="compiling needs gcc"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout"),
]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("MESHD_DIST"):
        return Path(given)
    folder = tmp_path_factory.mktemp("compiled") / "dist"
    built(folder, seconds=1500, MESHD_COMPILED="1")
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = [path for path in dist.glob("*.whl") if "none-any" not in path.name]
    return found


def test_two_builds_are_the_same(dist: Path, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    given = {"TMPDIR": str(tmp_path / "temporary"), "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
    elsewhere = moved(tmp_path / "checkout")
    again = built(tmp_path / "again", elsewhere, seconds=1500, MESHD_COMPILED="1", **given)
    assert len(again) == 3
    assert {name: len(data) for name, data in again.items() if data != (dist / name).read_bytes()} == {}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_no_folder_of_this_machine_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        libraries = [archive.read(name) for name in archive.namelist() if name.endswith(".so")]
    assert len(libraries) > 50
    for folder in (sys.prefix, sys.base_prefix, tempfile.gettempdir(), str(ROOT)):
        assert [data for data in libraries if f"{folder}/".encode() in data] == []


@pytest.mark.parametrize(
    ("version", "platform", "form"),
    [
        (MINOR, "", "compiled"),
        (f"3.{sys.version_info.minor + 1}", "", "plain"),
        (MINOR, "musllinux_1_2_x86_64", "plain"),
        (MINOR, "manylinux_2_28_x86_64", "plain"),
        (MINOR, "linux_aarch64", "plain"),
    ],
)
def test_pip_takes_what_fits(dist: Path, wheel: Path, version: str, platform: str, form: str, tmp_path: Path) -> None:
    words = ["download", "--quiet", "--no-index", f"--find-links={dist}", "--no-deps", "--only-binary=:all:"]
    platforms = [f"--platform={platform}", "--platform=linux_x86_64"] if platform else []
    _run(
        sys.executable,
        "-m",
        "pip",
        *words,
        f"--python-version={version}",
        *platforms,
        f"--dest={tmp_path}",
        "modelmesh",
    )
    (taken,) = tmp_path.iterdir()
    assert (taken.name == wheel.name) == (form == "compiled")


def test_the_sdist_is_installed_without_a_compiler(dist: Path, tmp_path: Path) -> None:
    sdist = next(dist.glob("*.tar.gz"))
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--quiet", f"--python={python}", "install"]
    given = os.environ | {"CC": "/no/such/cc"}
    _run(*pip, f"modelmesh[daemon] @ {sdist.as_uri()}", env=given | {"MESHD_COMPILED": "0"})
    assert _run(str(tmp_path / "venv/bin/meshd"), "--version").strip().endswith(tuple("0123456789"))
    refused = subprocess.run(
        [*pip, "--no-deps", "--force-reinstall", str(sdist)],
        env=given | {"MESHD_COMPILED": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert refused.returncode != 0
    assert "Compiling modules needs a C compiler (/no/such/cc)" in refused.stdout + refused.stderr


def _run(*words: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


class Home:
    """A user's, with nothing in it but what installs programs."""

    def __init__(self, place: Path) -> None:
        self.place = place
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "LC_"))}
        path = f"{place}/.local/bin:{place}/tools/bin:/usr/bin:/bin"
        self.environ = kept | {"HOME": str(place), "PATH": path, "XDG_RUNTIME_DIR": str(place / "run")}
        (place / "run").mkdir(mode=0o700)
        venv.create(place / "tools", with_pip=True, symlinks=True)

    def run(self, *words: str) -> str:
        return _run(*words, env=self.environ)

    def is_up(self) -> bool:
        asked = subprocess.run(["meshctl", "status", "--json"], env=self.environ, capture_output=True, check=False)
        return asked.returncode == 0

    def left(self) -> set[str]:
        """Programs and environments."""
        folders = (
            self.place / ".local/bin",
            self.place / ".local/share/man/man1",
            *self.place.glob(".local/*/*/venvs"),
        )
        found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
        return {path.name for path in found if path.name.startswith(("mesh", "modelmesh"))}


@pytest.fixture
def home(short: Path) -> Home:
    return Home(short)


INSTALLERS = {
    "pipx": (["pipx", "install"], ["pipx", "upgrade", "modelmesh"], ["pipx", "uninstall", "modelmesh"]),
    "uv": (["uv", "tool", "install"], ["uv", "tool", "upgrade", "modelmesh"], ["uv", "tool", "uninstall", "modelmesh"]),
}


@pytest.mark.parametrize("installer", INSTALLERS)
def test_it_is_installed_used_upgraded_and_removed(installer: str, wheel: Path, home: Home) -> None:
    install, upgrade, uninstall = INSTALLERS[installer]
    home.run("pip", "install", "--quiet", installer)
    home.run(*install, "--python", f"{sys.base_prefix}/bin/python{MINOR}", f"{wheel}[daemon,local]")
    assert home.run("meshd", "--version").endswith("(compiled)\n")
    assert home.run("meshctl", "--version").startswith("meshctl ")
    home.run("meshctl", "pull", "smollm2-135m")
    with (home.place / "meshd.log").open("wb") as log:
        daemon = subprocess.Popen(["meshd"], env=home.environ, stdout=log, stderr=log, cwd=home.place)
    try:
        until(home.is_up, 60)
        assert home.run("meshctl", "chat", "Say hello.").strip()
        assert len(json.loads(home.run("meshctl", "embed", "hello", "--json"))["data"][0]["embedding"]) > 100
        home.run(*upgrade)
        assert home.run("meshd", "--version").endswith("(compiled)\n")
    finally:
        daemon.terminate()
        assert daemon.wait(60) == 0
    assert {"meshd", "meshctl"} <= home.left()
    home.run(*uninstall)
    assert home.left() == set()
