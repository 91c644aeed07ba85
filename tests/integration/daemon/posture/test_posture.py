"""A daemon whose files others can change: it refuses them, with the command that repairs it, or warns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.daemon import Daemon

EX_CONFIG = 78


def of(directory: Path, one: Any, **daemon: Any) -> Daemon:
    """Its key, weights, state and log have a folder each."""
    config = one(reply="here", daemon={"watch": False, **daemon})
    config["providers"]["one"]["api_key"] = "${secrets:ONE}"
    config["secrets"] = {"store": [{"connector": "modelmesh.dotenv.v1", "path": "keys/.env"}]}
    config["observability"] = {"logging": {"connector": "modelmesh.file.v1", "path": str(directory / "logs/log")}}
    for folder in ("keys", "logs", "state", "state/models", "run"):
        (directory / folder).mkdir(mode=0o700)
    (directory / "keys/.env").write_text("ONE=a-key\n")
    (directory / "keys/.env").chmod(0o600)
    made = Daemon(directory, config)
    made.config.chmod(0o600)
    return made


PLACES = {
    "the configuration": "mesh.yaml",
    "its directory": "",
    "a key's directory": "keys",
    "the state directory": "state",
    "the weights' directory": "state/models",
    "the log's directory": "logs",
    "the socket's directory": "run",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_others_may_write_is_refused_until_the_command_that_is_named_has_run(
    short: Path, one: Any, place: str
) -> None:
    daemon = of(short, one)
    os.chmod(short / place, 0o777)
    assert daemon.spawn().wait(30) == EX_CONFIG
    assert "Traceback" not in daemon.log()
    said = daemon.log()
    assert f"{short / place} can be written by every user".replace("/ can", " can") in said
    assert not daemon.socket.exists()
    repair = said.partition("run `")[2].partition("`")[0]
    subprocess.run(repair, shell=True, check=True)
    try:
        assert daemon.start().say().choices[0].message.content == "here"
    finally:
        daemon.close()


def test_a_reload_that_brings_one_is_refused_and_doctor_tells_it(short: Path, one: Any) -> None:
    daemon = of(short, one).start()
    try:
        changed = json.loads(daemon.config.read_text())
        changed["providers"]["one"]["script"] = [{"reply": "changed"}]
        changed["daemon"]["strict"] = False  # it may be theirs, as they can write the file
        daemon.write(changed)
        daemon.config.chmod(0o606)
        report = daemon.ask("POST", "/mesh/v1/reload")
        assert not report["ok"]
        (problem,) = report["problems"]
        assert problem["message"].endswith(f"run `chmod o-w {daemon.config}`")
        assert daemon.say().choices[0].message.content == "here"
        assert f"{daemon.config} can be written by every user" in doctor(daemon)
    finally:
        daemon.close()


def test_a_reload_of_a_file_that_says_so_is_only_a_warning(short: Path, one: Any, eventually: Any) -> None:
    daemon = of(short, one).start()
    try:
        changed = json.loads(daemon.config.read_text())
        changed["daemon"]["strict"] = False
        (short / "keys").chmod(0o707)
        assert not daemon.ask("POST", "/mesh/v1/reload")["ok"]
        daemon.write(changed)
        assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
        (note,) = daemon.status()["notes"]
        assert note.endswith(f"/keys can be written by every user: run `chmod o-w {short}/keys`")
        assert note in doctor(daemon)
        eventually(lambda: note in (short / "logs/log").read_text())
    finally:
        daemon.close()


def doctor(daemon: Daemon) -> str:
    environment = {**os.environ, "HOME": str(daemon.directory), "MESH_SOCKET": str(daemon.socket), "COLUMNS": "1000"}
    command = [sys.executable, "-m", "meshd.cli", "doctor"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.mark.parametrize("strict", [True, False])
def test_packages_that_others_may_write_are_not_imported_from(short: Path, one: Any, strict: bool) -> None:
    daemon = of(short, one, strict=strict)
    (short / "lib").mkdir()
    os.chmod(short / "lib", 0o777)
    daemon.environment = {"PYTHONPATH": str(short / "lib")}
    arguments, daemon.arguments = daemon.arguments, ("--check",)
    assert daemon.spawn().wait(30) == (EX_CONFIG if strict else 0)
    assert f"{short / 'lib'} can be written by every user: run `chmod" in daemon.log()
    daemon.arguments = arguments
    if strict:
        assert daemon.spawn().wait(30) == EX_CONFIG
        return
    try:
        assert daemon.start().say().choices[0].message.content == "here"
    finally:
        daemon.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")
@pytest.mark.parametrize("place", ["mesh.yaml", "state", "keys/.env", "state/models"])
def test_a_file_of_another_user_is_refused(short: Path, one: Any, place: str) -> None:
    daemon = of(short, one)
    os.chown(short / place, 65533, -1)
    assert daemon.spawn().wait(30) == EX_CONFIG
    assert f"{short / place} belongs to 65533: run `chown root {short / place}`" in daemon.log()


def test_a_lock_that_is_a_link_changes_nothing_elsewhere(short: Path, one: Any) -> None:
    """Another user may have made it while the directory was open to all."""
    daemon = of(short, one)
    victim = short / "victim"
    victim.write_text("precious")
    (daemon.state / "lock").symlink_to(victim)
    try:
        state = daemon.start().status()["state"]
        assert not state["ok"]
        assert state["error"].endswith(f"lock is a symbolic link: run `rm {daemon.state / 'lock'}`")
    finally:
        daemon.close()
    assert victim.read_text() == "precious"


def test_a_socket_beside_the_files_of_all_users_is_refused(short: Path, one: Any) -> None:
    daemon = of(short, one)
    shared = short / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    daemon.socket = shared / "mesh.sock"
    assert daemon.spawn().wait(30) == EX_CONFIG
    said = daemon.log()
    assert (
        f"others can put another socket in the place of {daemon.socket}: {shared} can be written by every user" in said
    )
    assert list(shared.iterdir()) == []
    repair = said.partition("run `")[2].partition("`")[0]
    subprocess.run(repair, shell=True, check=True)
    daemon.socket = shared / "meshd/mesh.sock"
    try:
        assert daemon.start().say().choices[0].message.content == "here"
        assert "can be written" not in doctor(daemon)
        (shared / "meshd").chmod(0o777)
        assert f"{shared}/meshd can be written by every user" in doctor(daemon)
    finally:
        daemon.close()


def test_a_socket_that_others_could_replace_is_only_a_warning_if_the_file_says_so(short: Path, one: Any) -> None:
    daemon = of(short, one, strict=False)
    (short / "run").chmod(0o777)
    try:
        daemon.start()
        assert f"others can put another socket in the place of {daemon.socket}" in daemon.log()
    finally:
        daemon.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory to another user")
def test_a_directory_that_another_user_made_first_is_refused(short: Path, one: Any) -> None:
    daemon = of(short, one)
    short.chmod(0o1777)
    os.chown(short / "run", 1000, 1000)
    assert daemon.spawn().wait(30) == EX_CONFIG
    assert f"{short / 'run'} belongs to" in daemon.log()
    assert list((short / "run").iterdir()) == []
