"""Who is calling, by what the kernel says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.caller import Peer
from meshd.gateway.frontends.ipc.connections import peer_address
from meshd.gateway.frontends.peer_identity import OURSELVES_ADDRESS, identify, parse_peer_address
from meshd.host import processes


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """Another /proc, with a process 1 of which nothing is known."""
    (tmp_path / "1").mkdir()
    monkeypatch.setattr(processes, "PROC", str(tmp_path))
    return tmp_path


def test_the_peer_address_of_libzmq():
    assert parse_peer_address("localhost:1000:100:4711") == (1000, 100, 4711)
    assert parse_peer_address("a:b:1:2:3") == (1, 2, 3)


@given(st.text(max_size=40))
def test_any_other_address_is_an_unknown_caller(address):
    caller = identify(address)
    if address == OURSELVES_ADDRESS:
        assert caller.pid == os.getpid()
    elif caller != Peer():
        assert address.count(":") >= 3


def test_this_process():
    caller = identify(f"localhost:{os.getuid()}:{os.getgid()}:{os.getpid()}")
    assert (caller.uid, caller.gid, caller.pid) == (os.getuid(), os.getgid(), os.getpid())
    assert caller.exe == os.path.realpath(sys.executable)
    assert caller.started > 0
    assert caller == identify("")


def test_a_process_that_has_ended_is_known_by_its_user_alone():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    caller = identify(f"localhost:{os.getuid()}:{os.getgid()}:{ended.pid}")
    assert (caller.uid, caller.started, caller.exe, caller.unit) == (os.getuid(), 0, "", "")


def test_a_pid_that_is_used_again_is_another_process(monkeypatch):
    address = f"localhost:{os.getuid()}:{os.getgid()}:{os.getpid()}"
    first = identify(address)
    monkeypatch.setattr(processes, "start_time", lambda pid: first.started + 1)
    assert identify(address) != first


@pytest.mark.parametrize(
    ("cgroup", "system_unit", "unit"),
    [
        ("0::/system.slice/mail.service\n", "mail.service", "mail.service"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-vim.scope\n",
            "user@1000.service",
            "app-vim.scope",
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/background.slice/x.service/inner\n",
            "user@1000.service",
            "x.service",
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service/init\n", "user@1000.service", "user@1000.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", "session-3.scope"),
        # A service may make groups below its own, under any name.
        ("0::/system.slice/own.service/mail.service\n", "own.service", "own.service"),
        ("4:cpu:/mail.service\n1:name=systemd:/system.slice/own.service\n0::/\n", "own.service", "own.service"),
        ("0::/\n", "", ""),
        ("", "", ""),
    ],
)
def test_units(proc, cgroup, system_unit, unit):
    (proc / "1" / "cgroup").write_text(cgroup)
    assert processes.units(1) == (system_unit, unit)


def test_groups():
    assert identify("").groups == frozenset(os.getgroups())


@pytest.mark.parametrize("status", ["", "Name:\tx\n", "Name:\tx\nGroups:\t \n"])
def test_no_groups(proc, status):
    (proc / "1" / "status").write_text(status)
    assert processes.groups(1) == frozenset()


def test_a_program_in_a_namespace_of_its_users_own_has_no_path(monkeypatch):
    """There it can be put over any path."""
    assert processes.executable(os.getpid()) == os.path.realpath(sys.executable)
    monkeypatch.setattr(processes, "user_namespace", lambda pid: (4, 1 if pid == "self" else 2))
    assert processes.executable(os.getpid()) == ""


def test_what_statistics_are_kept_under():
    assert Peer(unit="mail.service", name="python").app == "mail.service"
    assert Peer(unit="session-3.scope", name="mail", exe="/usr/bin/python3").app == "mail"
    assert Peer(exe="/usr/bin/python3").app == "python3"
    assert Peer(uid=0).app == "root"
    assert Peer(uid=4_000_000).user == "4000000"


def test_names_with_brackets_and_spaces_do_not_move_the_fields(proc):
    fields = " ".join(["S", *map(str, range(1, 30))])
    (proc / "1" / "stat").write_text(f"1 (a) b) {fields}")
    assert processes.start_time(1) == 19


class Frame:
    """A first frame as libzmq gives it, with the properties of its connection."""

    def __init__(self, **properties):
        self.properties = {name.replace("_", "-"): value for name, value in properties.items()}

    def get(self, name):
        import zmq

        if name not in self.properties:
            raise zmq.ZMQError(22)
        return self.properties[name]


def test_only_a_peer_in_this_process_is_ourselves():
    assert peer_address(Frame(Peer_Address="localhost:1:2:3", Socket_Type="DEALER")) == "localhost:1:2:3"
    assert peer_address(Frame()) == OURSELVES_ADDRESS
    assert identify(peer_address(Frame(Socket_Type="DEALER"))) == Peer()


def test_no_directory_service_is_asked_for_a_name(monkeypatch, short):
    """It may take seconds, and the router asks."""
    import pwd

    from meshd.host import users

    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pytest.fail("asked"))
    (short / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nann:x:1234:1234::/home/ann:/bin/sh\n+\n")
    monkeypatch.setattr(users, "PASSWD", str(short / "passwd"))
    users.user_name.cache_clear()
    assert [Peer(uid=uid).user for uid in (1234, 12, 0)] == ["ann", "12", "root"]
    users.user_name.cache_clear()


def test_a_pid_of_another_user_is_another_process(monkeypatch):
    """The caller ended between its connection and our look, and somebody else's process got its number."""
    mine = os.getpid()
    caller = identify(f"localhost:54321:54321:{mine}")
    assert (caller.uid, caller.pid, caller.started, caller.exe, caller.unit) == (54321, mine, 0, "", "")
    assert identify(f"localhost:{os.getuid()}:{os.getgid()}:{mine}").exe


def test_a_pid_that_is_used_again_while_it_is_looked_up(monkeypatch):
    mine = os.getpid()
    times = iter([processes.start_time(mine), processes.start_time(mine) + 1])
    monkeypatch.setattr(processes, "start_time", lambda pid: next(times))
    caller = identify(f"localhost:{os.getuid()}:{os.getgid()}:{mine}")
    assert (caller.uid, caller.started, caller.exe) == (os.getuid(), 0, "")
