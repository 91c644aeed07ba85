"""Mistakes at the command line, each told by what it is."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from meshd.cli.daemon import no_daemon, what_is_there
from meshd.cli.screen.output import cell_text
from modelmesh import discovery


def test_a_path_that_is_not_a_socket_is_reported_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert what_is_there(str(tmp_path)) == what_is_there(str(tmp_path / "file")) == "that is not a socket"
    assert what_is_there(str(tmp_path / "none")) == "no such file"


def test_a_daemon_that_listens_and_is_silent_is_not_to_be_started_again(tmp_path: Path) -> None:
    path = str(tmp_path / "mesh.sock")
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(path)
        line.listen(1)
        said = "\n".join(no_daemon("", [path], permitted=True))
    assert f"process {os.getpid()} is stopped, or stuck" in said
    assert "start one" not in said
    assert "start one" in no_daemon("", [path], permitted=True)[0]  # it has gone and left its file


def test_what_is_advised_can_be_typed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(discovery, "SYSTEMD", str(tmp_path / "none"))
    left_out = no_daemon(
        "", ["/nowhere/mesh.sock"], True, {"/tmp/meshd/mesh.sock": "/tmp/meshd belongs to another user"}
    )
    assert "  left out /tmp/meshd/mesh.sock: /tmp/meshd belongs to another user" in left_out
    assert no_daemon("", ["/nowhere/mesh.sock"], permitted=True) == [
        "No daemon answers; start one with `meshd`.",
        "  tried /nowhere/mesh.sock: no such file",
        "  for a daemon at another place: --socket PATH, or MESH_SOCKET",
    ]
    (tmp_path / "bin" / "meshd").touch()  # as after `make run`
    assert "`bin/meshd`" in no_daemon("", ["/nowhere/mesh.sock"], permitted=True)[0]
    (tmp_path / "meshd").touch(0o755)
    assert "`meshd`" in no_daemon("", ["/nowhere/mesh.sock"], permitted=True)[0]


def test_a_map_among_a_providers_details_is_shown_in_words() -> None:
    assert cell_text({"small": {"state": "running", "in_use": 0}}) == "small (state running, in use 0)"


@pytest.mark.parametrize("name", ["mesh.ini", "mesh", "mesh.txt"])
def test_a_file_is_converted_into_a_format_that_there_is(meshctl: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "mesh.yaml").write_text("daemon: {watch: true}\n")
    done = meshctl("config", "convert", str(tmp_path / "mesh.yaml"), str(tmp_path / name))
    assert done.exit_code == 2
    assert ".yaml, .toml or .json" in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["mesh.toml", "mesh.json", "mesh"])
def test_a_first_file_is_yaml_and_is_called_so(meshctl: Any, tmp_path: Path, name: str) -> None:
    done = meshctl("config", "init", str(tmp_path / name))
    assert (done.exit_code, "does not end in .yaml" in done.stderr) == (2, True)
    assert not (tmp_path / name).exists()
    assert meshctl("config", "init", str(tmp_path / "mesh.yml")).exit_code == 0


def test_an_empty_word_is_not_a_model(fake: Any, meshctl: Any) -> None:
    done = meshctl("chat", "")
    assert done.exit_code == 2
    assert "no prompt: give one" in done.stderr
