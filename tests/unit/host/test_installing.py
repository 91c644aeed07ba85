from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from meshd.host import installing
from meshd.host.installing import command_for, how_to_install

ROOT = Path(__file__).parents[3]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OPTIONAL = [name for name in EXTRAS if name not in ("daemon", "all", "docs", "dev", "dist", "conformance")]


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an environment for this test, whose name is `meshes`."""
    place = tmp_path / "meshes"
    place.mkdir()
    monkeypatch.setattr(sys, "prefix", str(place))
    monkeypatch.setattr(sys, "executable", str(place / "bin/python"))
    return place


@pytest.mark.parametrize("extra", OPTIONAL)
def test_the_packages_of_an_extra_are_named(extra: str, prefix: Path) -> None:
    python, *words = shlex.split(how_to_install(extra))
    assert [python, *words[:3]] == [f"{prefix}/bin/python", "-m", "pip", "install"]
    assert sorted(words[3:]) == sorted(EXTRAS[extra])


def test_where_pipx_has_installed_it(prefix: Path) -> None:
    (prefix / "pipx_metadata.json").touch()
    assert how_to_install("curve") == f"pipx inject meshes {shlex.quote(EXTRAS['curve'][0])}"


def test_where_pip_is_not(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "find_spec", lambda name: None)
    assert command_for("tzdata") == f"uv pip install --python {prefix}/bin/python tzdata"


def test_where_only_root_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert command_for("tzdata").startswith("sudo ")


def test_in_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr/lib/meshd")
    assert how_to_install("local") == "sudo apt-get install ./meshd-local_*.deb"
    assert how_to_install("curve").startswith("make deb MESHD_EXTRAS=daemon,secrets,curve ")
    rules = (ROOT / "systemd/debian/rules").read_text()
    assert "MESHD_EXTRAS ?= daemon,secrets\n" in rules
    assert "PLACE = usr/lib/meshd\n" in rules


def test_the_daemon_itself_comes_from_where_this_came_from(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert how_to_install("daemon") == f"{prefix}/bin/python -m pip install '{ROOT}[daemon]'"
    for lost in ("distribution", "requires"):
        monkeypatch.setattr(f"importlib.metadata.{lost}", _lost)
    assert how_to_install("curve") == f"{prefix}/bin/python -m pip install '.[curve]' in the checkout"


def _lost(name: str) -> None:
    raise PackageNotFoundError(name)


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_the_command_for_uv_finds_the_environment(tmp_path: Path) -> None:
    venv.create(tmp_path / "here", with_pip=False, symlinks=True)
    words = ["uv", "pip", "list", "--python", str(tmp_path / "here/bin/python")]
    assert subprocess.run(words, capture_output=True, timeout=30).returncode == 0


def test_no_message_names_a_package_of_ours_as_if_an_index_had_it() -> None:
    sources = [path for folder in ("meshd", "client") for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in sources if "modelmesh[" in path.read_text()] == []
