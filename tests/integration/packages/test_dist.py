"""The sdist and the wheel that are published: the same bytes each time, and everything that an installation needs."""

from __future__ import annotations

import email
import importlib
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.packages.distribution import ROOT, built, moved

pytestmark = [
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout"),
    pytest.mark.timeout(240),  # two builds, each of two seconds on an idle machine
]


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules dist and deb, which are no package."""
    monkeypatch.syspath_prepend(str(ROOT / "systemd"))
    return SimpleNamespace(dist=importlib.import_module("dist"), deb=importlib.import_module("deb"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("dist")
    built(found)
    return found


def test_two_builds_are_the_same(folder: Path, tmp_path: Path) -> None:
    elsewhere = moved(tmp_path / "checkout")
    again = built(tmp_path / "again", elsewhere, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="1")
    assert again == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(again) == 2


def test_what_the_other_has_built_stays(tmp_path: Path, builders: SimpleNamespace) -> None:
    """`make dist` and `make deb` share a folder."""
    wheel, deb = tmp_path / "modelmesh-0.1.0-py3-none-any.whl", tmp_path / "meshd_0.1.0-1_amd64.deb"
    wheel.touch()
    deb.touch()
    assert builders.dist.checksums(tmp_path).endswith(f"  {wheel.name}\n")
    builders.dist.remove_earlier(tmp_path, *builders.dist.OWN)
    assert [*tmp_path.iterdir()] == [deb]
    wheel.touch()
    builders.dist.remove_earlier(tmp_path, *builders.deb.OWN)
    assert [*tmp_path.iterdir()] == [wheel]


def test_the_debian_version_grows_with_commits(
    tmp_path: Path, builders: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builders.dist, "HERE", tmp_path)
    found = []
    for number, date in enumerate(("2026-11-29T23:59:59+0200", "2026-11-29T22:00:01+0000")):
        (tmp_path / "file").write_text(str(number))
        _git(tmp_path, "init", "--quiet")
        _git(tmp_path, "add", "file")
        _git(tmp_path, "commit", "--quiet", "--message", "x", GIT_COMMITTER_DATE=date)
        found.append(builders.deb.version_of("0.1.0"))
    dates = [version.rpartition(".")[0] for version in found]
    assert dates == ["0.1.0+git20261129.215959", "0.1.0+git20261129.220001"]
    _git(tmp_path, "tag", "v0.1.0")
    assert builders.deb.version_of("0.1.0") == "0.1.0"
    (tmp_path / "file").write_text("changed")
    assert builders.deb.version_of("0.1.0") == f"{found[1]}.changed"


def _git(folder: Path, *words: str, **given: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    subprocess.run(["git", "-C", str(folder), *who, *words], env=os.environ | given, check=True)


def test_the_wheel_has_units_pages_and_completions(folder: Path) -> None:
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        data = next(name.partition("/")[0] for name in names if ".data/" in name)
        metadata = email.message_from_bytes(wheel.read(next(name for name in names if name.endswith("/METADATA"))))
        for unit in ("meshd.service", "meshd.socket", "user/meshd.service", "user/meshd.socket"):
            assert wheel.read(f"meshd/cli/service/units/{unit}") == (ROOT / "systemd" / unit).read_bytes()
    assert {
        f"{data}/data/share/man/{page}" for page in ("man1/meshd.1", "man1/meshctl-connect.1", "man5/mesh.yaml.5")
    } <= names
    assert f"{data}/data/share/zsh/vendor-completions/_meshctl" in names
    assert {name.partition("/")[0] for name in names} == {
        "meshd",
        "modelmesh",
        data,
        data.replace(".data", ".dist-info"),
    }
    assert {"daemon", "local", "all"} <= {*metadata.get_all("Provides-Extra", [])}


def test_the_sdist_builds_it_without_the_checkout(folder: Path) -> None:
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        assert {member.mtime for member in archive.getmembers()} == {1700000000}
        assert {member.uid for member in archive.getmembers()} == {0}
    assert {"LICENSE", "pyproject.toml", "systemd/meshd.service", "docs/operating.md"} <= names
    assert not [name for name in names if name.startswith(("tests", ".")) and name != ".gitignore"]
