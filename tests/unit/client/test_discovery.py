"""Finding the daemon's socket."""

from __future__ import annotations

import os
import socket
import time

import pytest

import modelmesh
from modelmesh import discovery


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No daemon anywhere, and no settings."""
    for name in ("MESH_SOCKET", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(discovery, "SYSTEM_SOCKET", str(tmp_path / "run" / "mesh.sock"))
    monkeypatch.setattr(os, "getuid", lambda: 4294967)
    return tmp_path


def profile(directory, text):
    (directory / "config" / "meshd").mkdir(parents=True)
    (directory / "config" / "meshd" / "client.toml").write_text(text)


def test_none_there_names_the_paths_and_the_way_to_start_one(nowhere, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(nowhere / "user"))
    with pytest.raises(modelmesh.DaemonUnavailableError) as raised:
        modelmesh.OpenAIClient().models.list()
    assert raised.value.paths == [
        f"{nowhere}/user/meshd/mesh.sock",
        "/run/user/4294967/meshd/mesh.sock",
        f"{nowhere}/run/mesh.sock",
    ]
    assert "`meshd`" in str(raised.value)


def test_only_services_that_are_installed_are_advised(nowhere, monkeypatch):
    def said():
        with pytest.raises(modelmesh.DaemonUnavailableError) as raised:
            modelmesh.OpenAIClient().models.list()
        return str(raised.value)

    monkeypatch.setattr(discovery, "SYSTEMD", str(nowhere))
    units = {"systemctl --user": (f"{nowhere}/u",), "sudo systemctl": (f"{nowhere}/s",)}
    monkeypatch.setattr(discovery, "UNITS", units)
    assert "systemctl" not in said()
    (nowhere / "s").mkdir()
    (nowhere / "s" / "meshd.service").touch()
    assert said().endswith("\n  as a service: sudo systemctl start meshd")
    monkeypatch.setattr(discovery, "SYSTEMD", str(nowhere / "none"))
    assert "systemctl" not in said()


def test_the_order(nowhere, monkeypatch):
    system = nowhere / "run" / "mesh.sock"
    system.parent.mkdir()
    system.touch()
    assert discovery.find() == f"ipc://{system}"
    user = nowhere / "user" / "meshd" / "mesh.sock"
    user.parent.mkdir(parents=True)
    user.touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(nowhere / "user"))
    assert discovery.find() == f"ipc://{user}"
    profile(nowhere, 'socket = "/from/profile"\n')
    assert discovery.find() == "ipc:///from/profile"
    monkeypatch.setenv("MESH_SOCKET", "ipc:///from/environment")
    assert discovery.find() == "ipc:///from/environment"
    assert discovery.find("inproc://mesh") == "inproc://mesh"
    assert discovery.find(nowhere / "given") == f"ipc://{nowhere}/given"


def test_a_broken_profile_says_so(nowhere):
    profile(nowhere, "socket = ")
    with pytest.raises(modelmesh.ConfigurationError, match=r"client\.toml"):
        discovery.find()


@pytest.mark.parametrize(("mode", "trusted"), [(0o700, True), (0o755, False), (0o777, False)])
def test_a_directory_in_tmp_is_trusted_only_if_no_other_user_can_write(tmp_path, mode, trusted):
    tmp_path.chmod(mode)
    assert discovery.is_private(str(tmp_path), os.getuid()) is trusted
    assert not discovery.is_private(str(tmp_path), os.getuid() + 1)
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    assert not discovery.is_private(str(link), os.getuid())


@pytest.mark.parametrize(
    ("above", "directory", "why"),
    [
        (0o700, 0o700, ""),
        (0o755, 0o755, ""),
        (0o1777, 0o755, ""),
        (0o777, 0o700, "user is writable by other users"),
        (0o770, 0o700, "user is writable by other users"),
        (0o700, 0o777, "user/meshd is writable by other users"),
        (0o755, 0o775, "user/meshd is writable by other users"),
        (0o1777, 0o1777, "user/meshd is writable by other users"),
    ],
)
def test_a_default_socket_that_others_could_replace_is_left_out(nowhere, monkeypatch, above, directory, why):
    user = nowhere / "user" / "meshd" / "mesh.sock"
    user.parent.mkdir(parents=True)
    user.touch()
    user.parent.chmod(directory)
    user.parent.parent.chmod(above)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(nowhere / "user"))
    if not why:
        assert discovery.find() == f"ipc://{user}"
        return
    with pytest.raises(modelmesh.DaemonUnavailableError, match=f"left out {user}: {nowhere}/{why}") as raised:
        discovery.find()
    assert str(user) not in raised.value.paths
    assert discovery.find(user) == f"ipc://{user}", "an address that is given counts as it is"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to another user")
@pytest.mark.parametrize(
    ("above", "owners", "why"),
    [
        (0o1777, (0, 1000), "meshd belongs to another user"),
        (0o755, (1000, 1000), "user belongs to another user"),
        (0o755, (1000, 0), "user belongs to another user"),
        (0o755, (0, 1000), ""),  # as /run/meshd, which root gave to the service's user
    ],
)
def test_a_default_socket_of_another_user_is_left_out(nowhere, monkeypatch, above, owners, why):
    directory = nowhere / "user" / "meshd"
    directory.mkdir(parents=True)
    directory.parent.chmod(above)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory.parent))
    for path, owner in zip((directory.parent, directory), owners, strict=True):
        os.chown(path, owner, owner)
    with socket.socket(socket.AF_UNIX) as posing:
        posing.bind(str(directory / "mesh.sock"))
        posing.listen()
        posing.setblocking(False)
        if not why:
            assert discovery.find() == f"ipc://{directory}/mesh.sock"
            return
        with pytest.raises(modelmesh.DaemonUnavailableError, match=f"{why}$|{why}\n"):
            modelmesh.OpenAIClient().models.list()
        with pytest.raises(BlockingIOError):
            posing.accept()


@pytest.mark.parametrize(("name", "why"), [("file", "that is not a socket"), ("nothing", "no such socket")])
def test_where_no_daemon_can_be_none_is_waited_for(tmp_path, name, why):
    (tmp_path / "file").touch()
    with modelmesh.OpenAIClient(tmp_path / name, timeout=60) as client:
        began = time.monotonic()
        with pytest.raises(modelmesh.DaemonUnavailableError, match=why):
            client.models.list()
        assert time.monotonic() - began < 30
