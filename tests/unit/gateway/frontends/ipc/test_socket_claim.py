"""The claim on a socket's path. (Files of a temporary directory, and no daemon.)"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from meshd.gateway.frontends.ipc.socket_claim import Claim, SocketTaken
from meshd.host.socket_path import default_socket


def test_a_claim_is_exclusive_and_given_back(short):
    path = short / "deep" / "er" / "s"
    claim = Claim(path)
    with pytest.raises(SocketTaken, match=f"process {os.getpid()}"):
        Claim(path)
    claim.release()
    claim.release()
    assert list(path.parent.iterdir()) == []
    Claim(path).release()


def test_a_holder_that_died_holds_nothing(short):
    claim = "from meshd.gateway.frontends.ipc.socket_claim import Claim"
    program = f"{claim}; from pathlib import Path; Claim(Path({str(short / 's')!r}))"
    subprocess.run([sys.executable, "-c", f"{program}; import os; os._exit(1)"], check=False, timeout=20)
    assert (short / "s.lock").exists()
    Claim(short / "s").release()


def test_a_stale_socket_is_removed_and_a_served_one_is_not(short):
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(short / "s"))
        served.listen()
        with pytest.raises(SocketTaken, match=f"process {os.getpid()} serves"):
            Claim(short / "s")
        assert list(short.iterdir()) == [short / "s"]
    claim = Claim(short / "s")
    assert not (short / "s").exists()
    claim.release()


@pytest.mark.parametrize("make", ["file", "directory", "link"])
def test_what_is_not_a_socket_is_never_removed(short, make):
    path = short / "s"
    if make == "file":
        path.write_text("precious")
    elif make == "directory":
        path.mkdir()
    else:
        path.symlink_to(short / "nowhere")
    with pytest.raises(SocketTaken, match="is not a socket"):
        Claim(path)
    assert path.is_symlink() or path.exists()


def test_a_directory_that_cannot_be_made(short):
    (short / "file").write_text("")
    with pytest.raises(SocketTaken, match="cannot"):
        Claim(short / "file" / "s")


def test_a_path_that_is_too_long(short):
    with pytest.raises(SocketTaken, match="longer than 107"):
        Claim(short / ("x" * 108))


def test_where_the_socket_is_by_default(monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/meshd:/run/other")
    assert str(default_socket()) == "/run/meshd/mesh.sock"
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert str(default_socket()) == "/run/user/7/meshd/mesh.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert str(default_socket()) == f"/tmp/meshd-{os.getuid()}/mesh.sock"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory to another user")
def test_a_runtime_directory_of_another_user_is_not_used(monkeypatch, tmp_path):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_socket() == tmp_path / "meshd/mesh.sock"
    os.chown(tmp_path, 1000, 1000)
    assert str(default_socket()) == f"/tmp/meshd-{os.getuid()}/mesh.sock"


# -- who else could be there ------------------------------------------------------------------------------


def test_a_lock_that_is_a_link_is_not_followed(short):
    (short / "s.lock").symlink_to(short / "precious")
    with pytest.raises(SocketTaken, match="symbolic link"):
        Claim(short / "s")
    assert not (short / "precious").exists()


@pytest.fixture
def below_tmp():
    directory = Path(f"/tmp/mm{os.getpid()}")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def test_a_directory_that_is_made_is_private_whatever_the_umask(below_tmp):
    before = os.umask(0o277)
    try:
        claim = Claim(below_tmp / "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE(below_tmp.stat().st_mode) == 0o700
    claim.release()


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o702])
def test_a_directory_below_tmp_that_clients_would_not_trust_is_refused(below_tmp, mode):
    below_tmp.mkdir()
    below_tmp.chmod(mode)
    with pytest.raises(SocketTaken, match=f"chmod 700 {below_tmp}"):
        Claim(below_tmp / "s")
    below_tmp.chmod(0o700)
    Claim(below_tmp / "s").release()


def test_a_link_below_tmp_is_refused(below_tmp, short):
    below_tmp.symlink_to(short)
    try:
        with pytest.raises(SocketTaken, match="not yours"):
            Claim(below_tmp / "s")
    finally:
        below_tmp.unlink()
