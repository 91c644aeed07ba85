"""Who is calling, by what the kernel says."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest

from meshd.core.caller import Peer
from meshd.gateway.frontends.peer_identity import network_of, of_socket, ourselves, user_of
from meshd.host.process import processes


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """Another /proc, with a process 1 of which nothing is known."""
    (tmp_path / "1").mkdir()
    monkeypatch.setattr(processes, "PROC", str(tmp_path))
    return tmp_path


@pytest.fixture
def connected():
    """`connected(program)`: our end of a connection from a process that runs it, which has `peer`, its end."""
    made = []
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{directory}/s")
        listening.listen()

        def connect(program="import sys; sys.stdin.read()"):
            first = f"import socket; peer = socket.socket(socket.AF_UNIX); peer.connect({directory + '/s'!r})\n"
            process = subprocess.Popen([sys.executable, "-c", first + program], stdin=subprocess.PIPE)
            made.append((process, listening.accept()[0]))
            return made[-1]

        yield connect
        for process, ours in made:
            process.communicate(timeout=20)
            ours.close()


def test_the_process_that_connected(connected):
    process, ours = connected()
    caller = of_socket(ours)
    assert (caller.uid, caller.gid, caller.pid) == (os.getuid(), os.getgid(), process.pid)
    assert caller.exe == os.path.realpath(sys.executable)
    assert caller.started > 0
    assert caller.groups == frozenset(os.getgroups())
    assert user_of(ours) == os.getuid()
    assert len({caller, of_socket(ours)}) == 1


CONNECTING = """
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
if sys.stdin.readline() and sys.argv[2:]:
    os.execve(sys.argv[2], [sys.argv[2], "-c", sys.orig_argv[2], sys.argv[1]], {"PYTHONHOME": sys.base_prefix})
"""


def test_a_process_that_executes_another_program_is_that_one_from_then_on(short):
    """The kernel sees the same process: neither its pid nor its start time changes."""
    other, address = short / "another", str(short / "s")
    shutil.copy(os.path.realpath(sys.executable), other)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        listening.settimeout(20)
        command = [sys.executable, "-c", CONNECTING, address, str(other)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process, listening.accept()[0] as first:
            before = of_socket(first)
            process.stdin.write(b"\n")
            process.stdin.flush()
            with listening.accept()[0] as second:
                after = of_socket(second)
    assert (before.exe, after.exe) == (os.path.realpath(sys.executable), str(other))
    assert before.owner == after.owner


def test_ourselves():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert of_socket(ours) == ourselves()
    assert ourselves().pid == os.getpid()
    assert ourselves().exe == os.path.realpath(sys.executable)


def test_a_process_that_has_ended_is_known_by_its_user_alone(connected):
    process, ours = connected("")
    process.wait()
    caller = of_socket(ours)
    assert (caller.uid, caller.pid, caller.started) == (os.getuid(), process.pid, 0)
    assert (caller.exe, caller.unit, caller.name) == ("", "", "")


def test_a_pid_that_is_used_again_lends_nothing_to_who_connected(connected, monkeypatch):
    """The process has ended, and /proc shows another one under its pid, of the same user."""
    process, ours = connected("")
    process.wait()
    mine = os.getpid()
    for name in ("start_time", "users", "units", "name", "executable"):
        real = getattr(processes, name)
        monkeypatch.setattr(processes, name, lambda pid, real=real: real(mine if pid == process.pid else pid))
    assert processes.executable(process.pid), "the other process"
    caller = of_socket(ours)
    assert (caller.uid, caller.started, caller.exe) == (os.getuid(), 0, "")


def test_a_process_that_ends_while_it_is_looked_up(connected, monkeypatch):
    process, ours = connected()
    times = iter([processes.start_time(process.pid), 0])
    monkeypatch.setattr(processes, "start_time", lambda pid: next(times))
    caller = of_socket(ours)
    assert (caller.uid, caller.started, caller.exe) == (os.getuid(), 0, "")


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


@pytest.mark.parametrize("listens", [("127.0.0.1", socket.AF_INET), ("::", socket.AF_INET6)])
def test_a_machine_with_ipv4_is_a_network_of_its_own_also_where_both_are_listened_for(listens):
    host, family = listens
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        listening.listen()
        with socket.create_connection(("127.0.0.1", listening.getsockname()[1])), listening.accept()[0] as accepted:
            assert network_of(accepted) == "127.0.0.1"
