"""`meshctl service`: files, records and systemd's tools, in the tree of an image and in a home. Nothing starts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

SHIPPED = Path(__file__).parents[4] / "systemd"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed"),
    pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="a running systemd would be told"),
]


def tree(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every file and link below: its mode, its content."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = (0, os.readlink(path))
        elif path.is_file() and "passwd" not in path.name and "shadow" not in path.name and "group" not in path.name:
            found[str(path.relative_to(folder))] = (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
    found.pop("etc/.pwd.lock", None)
    return found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    found = tmp_path / "image"
    (found / "etc").mkdir(parents=True)
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "home"
    found.mkdir()
    monkeypatch.setenv("HOME", str(found))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return found


def users(image: Path) -> str:
    return (image / "etc/passwd").read_text() if (image / "etc/passwd").exists() else ""


def test_the_machines_service_there_and_back(meshctl: Any, image: Path) -> None:
    there = ("--root", str(image))
    done = meshctl("service", "install", *there, "--yes")
    assert (done.exit_code, "Installed: the machine's service." in done.stdout) == (0, True), done.stderr
    unit = image / "etc/systemd/system/meshd.service"
    assert unit.read_bytes() == (SHIPPED / "meshd.service").read_bytes()
    assert stat.S_IMODE(unit.stat().st_mode) == 0o644
    assert stat.S_IMODE(unit.parent.stat().st_mode) == 0o755
    assert os.path.lexists(unit.parent / "multi-user.target.wants/meshd.service")
    assert os.path.lexists(unit.parent / "sockets.target.wants/meshd.socket")
    assert "meshd:" in users(image)

    found = json.loads(meshctl("service", "status", *there, "--json").stdout)["system"]
    assert (found["by"], set(found["files"].values())) == ("meshctl", {"current"})
    assert found["enabled"] == {"meshd.socket": "enabled", "meshd.service": "enabled"}

    done = meshctl("service", "uninstall", *there, "--yes")
    assert done.exit_code == 0, done.stderr
    assert tree(image) == {}
    assert "meshd:" not in users(image)
    assert meshctl("service", "uninstall", *there, "--yes").exit_code == 1


def test_a_state_keeps_its_user_until_it_is_purged(meshctl: Any, image: Path) -> None:
    there = ("--root", str(image))
    meshctl("service", "install", *there, "--yes")
    (image / "var/lib/meshd").mkdir(parents=True)
    (image / "var/lib/meshd/state").write_text("spent")
    (image / "etc/meshd/mesh.yaml").write_text("{}")
    assert meshctl("service", "uninstall", *there, "--yes").exit_code == 0
    assert "meshd:" in users(image)
    assert {*tree(image)} == {"var/lib/meshd/state", "etc/meshd/mesh.yaml"}
    meshctl("service", "install", *there, "--yes")
    assert meshctl("service", "uninstall", *there, "--yes", "--purge").exit_code == 0
    assert {*tree(image)} == {"etc/meshd/mesh.yaml"}, "the operator's file"
    assert "meshd:" not in users(image)


def test_what_was_there_comes_back(meshctl: Any, image: Path) -> None:
    units = image / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "meshd.service").write_text("[Service]\nExecStart=/own/meshd\n")
    (units / "meshd.service").chmod(0o600)
    before = tree(image)
    there = ("--root", str(image))
    done = meshctl("service", "install", *there, "--yes")
    assert "-ExecStart=/own/meshd" in done.stdout
    assert tree(image) != before
    meshctl("service", "install", *there, "--yes")  # twice, as after an upgrade
    assert meshctl("service", "uninstall", *there, "--yes").exit_code == 0
    assert tree(image) == before


def test_an_edited_unit_is_kept_as_a_copy(meshctl: Any, image: Path) -> None:
    there = ("--root", str(image))
    meshctl("service", "install", *there, "--yes")
    unit = image / "etc/systemd/system/meshd.socket"
    unit.write_text("[Socket]\nListenStream=/own\n")
    found = json.loads(meshctl("service", "status", *there, "--json").stdout)["system"]["files"]
    assert found[str(unit)] == "edited"
    done = json.loads(meshctl("service", "install", *there, "--yes", "--json").stdout)
    assert [Path(kept).read_text() for kept in done["kept"]] == ["[Socket]\nListenStream=/own\n"]
    assert unit.read_bytes() == (SHIPPED / "meshd.socket").read_bytes()


def test_an_older_unit_is_said_to_be_outdated(meshctl: Any, image: Path) -> None:
    there = ("--root", str(image))
    meshctl("service", "install", *there, "--yes")
    unit, record = image / "etc/systemd/system/meshd.socket", image / "var/lib/misc/meshd-service.json"
    unit.write_text("# of an older version\n")
    held = json.loads(record.read_bytes())
    entry = next(each for each in held["files"] if each["path"] == str(unit))
    entry["after"] = hashlib.sha256(unit.read_bytes()).hexdigest()
    record.write_text(json.dumps(held))
    assert "outdated" in meshctl("service", "status", *there).stdout
    assert "a copy is kept" not in meshctl("service", "install", *there, "--yes").stderr
    assert "outdated" not in meshctl("service", "status", *there).stdout


def test_nothing_without_a_yes(meshctl: Any, image: Path) -> None:
    there = ("--root", str(image))
    shown = meshctl("service", "install", *there, "--dry-run")
    assert "+ExecStart=/usr/bin/env meshd" in shown.stdout
    assert shown.exit_code == 0
    refused = meshctl("service", "install", *there)
    assert (refused.exit_code, "--yes" in refused.stderr) == (1, True)
    assert tree(image) == {}


def test_a_package_comes_first(meshctl: Any, image: Path) -> None:
    unit = image / "usr/lib/systemd/system/meshd.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    there = ("--root", str(image))
    for word in ("install", "uninstall"):
        done = meshctl("service", word, *there, "--yes")
        assert (done.exit_code, "package" in done.stderr) == (1, True)
    assert "by a package" in meshctl("service", "status", *there).stdout


def test_a_users_service_there_and_back(meshctl: Any, home: Path) -> None:
    done = meshctl("service", "install", "--user", "--yes")
    assert done.exit_code == 0, done.stderr
    units = home / ".config/systemd/user"
    assert (units / "meshd.socket").read_bytes() == (SHIPPED / "user/meshd.socket").read_bytes()
    assert "Environment=PATH=" in (units / "meshd.service.d/10-meshctl.conf").read_text()
    assert os.path.lexists(units / "sockets.target.wants/meshd.socket")
    assert not (units / "default.target.wants").exists(), "the first request starts it"
    assert meshctl("service", "uninstall", "--user", "--yes", "--purge").exit_code == 2
    assert meshctl("service", "uninstall", "--user", "--yes").exit_code == 0
    assert [*home.rglob("*")] == [], "the folders that were made are gone, too"


def test_folders_that_others_use_stay(meshctl: Any, home: Path) -> None:
    assert meshctl("service", "install", "--user", "--yes").exit_code == 0
    mine = [home / ".config/systemd/user/mine.service", home / ".local/state/mine"]
    for path in mine:
        path.touch()
    assert meshctl("service", "uninstall", "--user", "--yes").exit_code == 0
    assert sorted(path for path in home.rglob("*") if path.is_file()) == sorted(mine)
    assert not (home / ".local/state/meshd").exists()


def test_wrong_usage(meshctl: Any, image: Path) -> None:
    missing = str(image / "none")
    for words in (["--user", "--system"], ["--user", "--root", str(image)], ["--root", "/"], ["--root", missing]):
        assert meshctl("service", "install", *words, "--dry-run").exit_code == 2
