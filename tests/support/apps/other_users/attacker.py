"""A user who means harm: a process without rights that floods, hoards or stalls the daemon's socket.

`Attacker(socket, uid, "attack")` starts it; the process runs until it is closed. Its attacks are below, each a Flood.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelmesh import protocol as wire
from tests.support.apps.raw_peer import GREETING, command, header, message, ready

ROOT = Path(__file__).parents[4]


@dataclass(frozen=True)
class Flood:
    """What each of its connections sends, once or without end. makes: whole messages, new each time. reads: what
    is answered. greets: before anything else. drips: bytes at a time, ten times a second. tries: connections that it
    makes in all; 0: it makes another one for each that is refused or closed."""

    connections: int
    makes: Callable[[], bytes] = bytes
    once: bool = False
    reads: bool = False
    greets: bool = True
    drips: int = 0
    tries: int = 0


def _request(path: str, body: bytes = b"", method: str = "POST", **head: Any) -> bytes:
    made = wire.RequestHead(method=method, path=path, **head)
    return message(wire.encode(wire.REQUEST, wire.new_request_id(), made, body))


def _chat(content: bytes, **head: Any) -> bytes:
    body = b'{"model":"slow","messages":[{"role":"user","content":"hi"}],"metadata":%s}' % content
    return _request("/v1/chat/completions", body, **head)


def _gets() -> bytes:
    return b"".join(_request("/mesh/v1/describe", method="GET") for _ in range(16))


def _nested(size: int) -> bytes:
    return b"[" + b"{},[]," * (size // 6) + b"0]"


_MIB = 1024**2
_HEADS = {f"x-{number}": "y" * 4 for number in range(4000)}  # some 50 kB on the wire
FLOODS = {
    "idle": Flood(10_000, once=True, greets=False),
    "half-open": Flood(1000, lambda: GREETING[:-1], once=True, greets=False, drips=1, tries=1000),
    "slow-writers": Flood(200, lambda: _chat(b'"x"') * 50, drips=1),
    "slow-readers": Flood(200, _gets),
    "churn": Flood(64, lambda: b"no greeting", greets=False),
    "endless-multiparts": Flood(64, lambda: b"\x01\x00" * 8192),
    "endless-frame": Flood(64, lambda: header(2**29) + bytes(65536), once=False),
    "unread-answers": Flood(1000, _gets),
    "unread-refusals": Flood(256, lambda: _request("/v1/nothing" + "x" * 60_000) * 4),
    "large-heads": Flood(64, lambda: _request("/v1/nothing", headers=_HEADS) * 4, reads=True),
    "pings": Flood(16, lambda: command(b"PING", b"\0\0") * 4096, reads=True),
    "unread-pings": Flood(2000, lambda: command(b"PING", b"\0\0") * 4096),
    "unfinished": Flood(4096, lambda: header(1, True) + b"\x03" + header(16, True) + bytes(16) + header(0, True)
                        + header(_MIB) + bytes(200_000), once=True),
    "tiny": Flood(2000, lambda: b"\0\0" * 100_000),
    "requests": Flood(64, lambda: _chat(b'"x"') * 1, reads=True),
    "requests-with-heads": Flood(64, lambda: _chat(b'"x"', headers=_HEADS), reads=True),
    "nested-bodies": Flood(64, lambda: _chat(_nested(_MIB - 1000)), reads=True),
    "large-bodies": Flood(16, lambda: _request("/v1/nothing", bytes(_MIB)), reads=True),
    "too-large-bodies": Flood(16, lambda: _request("/v1/nothing", bytes(60 * _MIB)), reads=True),
    "listeners": Flood(512, lambda: _request("/mesh/v1/events", method="GET", stream=True), once=True, reads=True),
    "gets": Flood(8, _gets, reads=True),
}  # fmt: skip
OVER_CURVE = ("curve-hellos", "curve-garbage", "curve-strangers", "curve-known", "curve-large-bodies")
"""By clients on another machine (`curve_attacker.py`)."""


class Attacker:
    """told: what it counted, after `close`. persists: it makes its connections again and again until it has all."""

    def __init__(self, path: Path, uid: int, attack: str, persists: bool = False) -> None:
        self.attack = attack
        self.told: dict[str, int] = {}
        self.process = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, "-m", __name__, str(path), str(uid), attack,
             *["persists"] * persists],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def begun(self) -> None:
        """Return when it has opened its connections, or all that it may."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "begun\n", f"{self.attack} has not begun"

    def close(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError, IndexError):
            told, _ = self.process.communicate(timeout=10)
            self.told = json.loads(told.splitlines()[-1])
        self.process.kill()
        self.process.wait(10)


class Bystander:
    """A process that uses a processor as an attacker does, and has nothing to do with the daemon."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["nice", "-n", "10", sys.executable, "-c", "while True: pass"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)


class _Peer:
    def __init__(self, path: str, flood: Flood) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.left = GREETING + ready() if flood.greets else b""
        self.sent = False
        self.accepted = False
        self.socket.setblocking(False)
        try:
            self.socket.connect(path)
        except BaseException:
            self.socket.close()
            raise


def _attack(path: str, flood: Flood, over: threading.Event, persists: bool) -> Counter[str]:
    counted: Counter[str] = Counter()
    peers: dict[_Peer, None] = {}
    watched = selectors.DefaultSelector()
    events = selectors.EVENT_READ if flood.once and not flood.makes() else selectors.EVENT_WRITE | selectors.EVENT_READ
    begun = False
    while not over.is_set():
        for _ in range(64):
            if len(peers) >= flood.connections or (flood.tries and counted["connections"] >= flood.tries):
                break
            try:
                peer = _Peer(path, flood)
            except OSError as error:
                counted[type(error).__name__] += 1
                break
            peers[peer] = None
            counted["connections"] += 1
            watched.register(peer.socket, events, peer)
        if persists:
            enough = counted["accepted"] >= flood.connections
        elif flood.tries:
            enough = counted["accepted"] + counted["refused"] == flood.tries
        else:
            refused = counted["refused"] or counted["closed"] or counted["BlockingIOError"] > 100
            enough = refused or len(peers) >= flood.connections
        if enough and not begun:
            begun = True
            print("begun", flush=True)
        if flood.drips:
            over.wait(0.1)
        for key, mask in watched.select(0.05):
            peer = key.data
            try:
                if mask & selectors.EVENT_READ:
                    if not flood.reads and not flood.once and peer.sent:
                        gone = not peer.socket.recv(1, socket.MSG_PEEK)
                        watched.modify(peer.socket, selectors.EVENT_WRITE, peer)
                    else:
                        gone = not peer.socket.recv(262144)
                    if gone:
                        raise ConnectionError
                    if not peer.accepted:
                        peer.accepted = True
                        counted["accepted"] += 1
                if mask & selectors.EVENT_WRITE:
                    if not peer.left:
                        if flood.once and peer.sent:
                            watched.modify(peer.socket, selectors.EVENT_READ, peer)
                            continue
                        peer.left, peer.sent = flood.makes(), True
                        counted["payloads"] += 1
                    size = peer.socket.send(peer.left[: flood.drips] if flood.drips else peer.left)
                    peer.left = peer.left[size:]
            except BlockingIOError:
                pass
            except OSError:
                counted["closed" if peer.accepted else "refused"] += 1
                watched.unregister(peer.socket)
                peer.socket.close()
                del peers[peer]
    counted["held"] = len(peers)
    return counted


def _main() -> None:
    path, uid, attack, *persists = sys.argv[1:]
    flood = replace(FLOODS[attack], tries=0) if persists else FLOODS[attack]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print("\n" + json.dumps(_attack(path, flood, over, bool(persists))), flush=True)


if __name__ == "__main__":
    _main()
