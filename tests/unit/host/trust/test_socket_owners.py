"""Who owns a socket, as the kernel says, with real sockets of real users."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from meshd.host.trust import socket_owners
from meshd.host.trust.local_servers import UNKNOWN, distrust, distrust_connection, distrust_url, is_here
from meshd.host.trust.socket_owners import Owner, owners, peer_of
from meshd.host.users import is_system_user
from tests.support.apps.other_users.posing import Posing

OTHER, SYSTEM = 54_321, 33
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
ME = os.getuid()
CONNECT = """
import encodings.idna, os, socket, sys
os.setgroups([]); os.setgid(54321); os.setuid(54321)
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    print(os.fstat(connection.fileno()).st_ino, flush=True)
    sys.stdin.read()
"""


class _NoNetlink(socket.socket):
    def __init__(self, family: int = -1, *arguments: Any, **options: Any) -> None:
        if family == socket.AF_NETLINK:
            raise OSError(97, "Address family not supported by protocol")
        super().__init__(family, *arguments, **options)


@pytest.fixture(params=["netlink", "proc"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "proc":
        monkeypatch.setattr(socket, "socket", _NoNetlink)
    return str(request.param)


@pytest.fixture
def listen() -> Iterator[Callable[..., socket.socket]]:
    with ExitStack() as opened:

        def make(address: str = "127.0.0.1", port: int = 0, dual: bool = False, **options: Any) -> socket.socket:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = socket.create_server((address, port), family=family, dualstack_ipv6=dual, **options)
            return opened.enter_context(made)

        yield make


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def inode(connection: socket.socket) -> int:
    return os.fstat(connection.fileno()).st_ino


def owns(own: socket.socket, address: str) -> bool:
    """Whether a socket of ours owns its port there. Another process may listen at the same port of another address."""
    found = owners(port_of(own), address)
    assert found is not None
    return Owner(ME, inode(own)) in found


# -- who listens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "dual", "reached"),
    [
        ("127.0.0.1", False, {"127.0.0.1"}),
        ("0.0.0.0", False, {"127.0.0.1", "127.0.0.2"}),
        ("::1", False, {"::1"}),
        ("::", True, {"127.0.0.1", "127.0.0.2", "::1"}),
        ("::ffff:127.0.0.1", True, {"127.0.0.1"}),
    ],
)
def test_a_listener_counts_for_the_addresses_that_reach_it(
    source: str, listen: Callable[..., socket.socket], bound: str, dual: bool, reached: set[str]
) -> None:
    listener = listen(bound, dual=dual)
    for address in ("127.0.0.1", "127.0.0.2", "::1"):
        assert owns(listener, address) is (address in reached), address


def test_an_ipv6_wildcard_that_takes_no_ipv4_does_not_count_for_ipv4(listen: Callable[..., socket.socket]) -> None:
    listener = listen("::")
    assert not owns(listener, "127.0.0.1")
    assert owns(listener, "::1")


@as_root
def test_another_users_ipv6_listener_takes_no_trust_from_an_ipv4_one(
    source: str, listen: Callable[..., socket.socket]
) -> None:
    own = listen()
    other = listen("::", port=port_of(own))
    os.fchown(other.fileno(), OTHER, OTHER)
    assert distrust("127.0.0.1", port_of(own)) == ""
    assert "54321" in (distrust("::1", port_of(own)) or "")


def test_nothing_listens_at_a_port_that_is_only_bound_or_connected(
    source: str, listen: Callable[..., socket.socket]
) -> None:
    with socket.create_connection(listen().getsockname()) as connection:
        assert not owns(connection, "127.0.0.1")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert not owns(bound, "127.0.0.1")


@as_root
def test_all_that_share_a_port_are_owners(source: str, listen: Callable[..., socket.socket]) -> None:
    first = listen(reuse_port=True)
    second = listen(port=port_of(first), reuse_port=True)
    os.fchown(second.fileno(), OTHER, OTHER)
    found = owners(port_of(first))
    assert found is not None
    assert {owner.uid for owner in found} == {0, OTHER}
    assert "54321" in (distrust("127.0.0.1", port_of(first)) or "")


@as_root
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_another_users_listener_is_not_trusted_and_a_system_users_is(
    source: str, pose: Callable[..., Posing], address: str
) -> None:
    host = "::1" if ":" in address else "127.0.0.1"
    other, system = pose(OTHER, address=address), pose(SYSTEM, address=address)
    assert distrust(host, other.port) == "it is served by the user 54321"
    assert distrust(host, system.port) == ""
    assert distrust_url(f"http://{f'[{host}]' if ':' in host else 'localhost'}:{other.port}/v1")
    assert not other.asked


def test_unknown_is_not_trusted(monkeypatch: pytest.MonkeyPatch, listen: Callable[..., socket.socket]) -> None:
    port = port_of(listen())
    assert distrust("127.0.0.1", port) == ""
    monkeypatch.setattr(socket, "socket", _NoNetlink)
    monkeypatch.setattr(socket_owners, "PROC_NET", socket_owners.PROC_NET / "none")
    assert owners(port) is None
    assert distrust("127.0.0.1", port) == UNKNOWN
    with listen() as listener, socket.create_connection(listener.getsockname()) as mine:
        assert peer_of(mine.getsockname(), mine.getpeername()) is None
        assert distrust_connection(mine) == UNKNOWN


def test_where_nothing_listens_there_is_nothing_to_trust() -> None:
    assert distrust("127.0.0.1", 1) is None
    assert distrust_url("unix:/nowhere/at.all") is None
    assert distrust("192.0.2.1", 1) == ""  # another machine


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.8.8.8/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://0.0.0.0:1", True),
        ("unix:/run/x.sock", True),
        ("https://192.0.2.1/v1", False),
        ("https://api.example.com/v1", False),
        ("http://[bad/v1", False),
        ("http://127.0.0.1:99999/", False),
    ],
)
def test_which_urls_are_of_this_machine(url: str, here: bool) -> None:
    assert is_here(url) is here


# -- the other end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "dual", "to"), [("127.0.0.1", False, "127.0.0.1"), ("::1", False, "::1"), ("::", True, "127.0.0.1")]
)
def test_the_other_end_is_found_from_both_sides(
    source: str, listen: Callable[..., socket.socket], bound: str, dual: bool, to: str
) -> None:
    listener = listen(bound, dual=dual)
    with socket.create_connection((to, port_of(listener))) as mine:
        assert peer_of(mine.getsockname(), mine.getpeername()) is None  # not accepted yet
        assert distrust_connection(mine) == ""  # but only this listener can accept it
        taken, _ = listener.accept()
        with taken:
            assert peer_of(mine.getsockname(), mine.getpeername()) == Owner(ME, inode(taken))
            assert peer_of(taken.getsockname(), taken.getpeername()) == Owner(ME, inode(mine))
            mine.close()
            # The kernel shows a socket without an owner as root's.
            assert peer_of(taken.getsockname(), taken.getpeername()) is None


@as_root
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection_of_another_user_is_known_by_its_uid(
    source: str, listen: Callable[..., socket.socket], address: str
) -> None:
    listener = listen(address)
    command = [sys.executable, "-c", CONNECT, address, str(port_of(listener))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        number = int(caller.stdout.readline())
        taken, _ = listener.accept()
        with taken:
            assert peer_of(taken.getsockname(), taken.getpeername()) == Owner(OTHER, number)
            assert distrust_connection(taken) == "it is served by the user 54321"
        caller.communicate(timeout=20)


def test_a_unix_sockets_owner_is_who_listens(short: Any) -> None:
    path = short / "s"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as mine:
        listener.bind(str(path))
        listener.listen()
        assert distrust_url(f"unix:{path}") == ""
        mine.connect(str(path))
        assert distrust_connection(mine) == ""


def test_who_is_a_system_user() -> None:
    assert [uid for uid in (0, 1, SYSTEM, 999, 1000, OTHER, 65_534) if is_system_user(uid)] == [0, 1, SYSTEM, 999]
