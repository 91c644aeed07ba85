"""The sdist and the wheel that are published: the same bytes each time, and everything that an installation needs."""

from __future__ import annotations

import email
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.packages.distribution import ROOT, built, moved

pytestmark = [
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout"),
    pytest.mark.timeout(240),  # two builds, each of two seconds on an idle machine
]


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
