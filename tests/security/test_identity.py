"""Who calls is known from the kernel alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelmesh import protocol as wire
from tests.support.apps.raw_peer import RawPeer, message
from tests.support.waiting import until

ANN, EVE = 5001, 5002


def ask(peer: RawPeer, path: str = "/mesh/v1/describe") -> bytes:
    """Its request id."""
    asked = wire.new_request_id()
    peer.send(message(wire.encode(wire.REQUEST, asked, wire.RequestHead(method="GET", path=path))))
    return asked


def answer(peer: RawPeer, asked: bytes) -> Any:
    found = wire.decode(peer.receive())
    assert found.request_id == asked, "an answer to somebody else"
    return msgspec.json.decode(found.body)


@pytest.mark.parametrize("first", [b"\0", b"", b"app"])
def test_an_identity_that_a_peer_claims_is_ignored(door: Any, stranger: Any, first: bytes) -> None:
    """With a zero byte in front as libzmq's own ids, counted upwards as those are, and another's name."""
    ann, eve = stranger(ANN), stranger(EVE)
    claimed = [first + number.to_bytes(4) for number in range(16)]
    theirs = [ann.connect(identity) for identity in claimed]
    mine = [eve.connect(identity) for identity in claimed + claimed]
    asked = {peer: ask(peer) for peer in theirs + mine}
    for peer, request_id in asked.items():
        you = answer(peer, request_id)["you"]
        assert (you["uid"], you["admin"]) == (ANN if peer in theirs else EVE, False)
    for peer in mine:
        peer.close()
    for peer in theirs:
        assert answer(peer, ask(peer))["you"]["uid"] == ANN
    assert door.running()


def test_a_request_id_of_another_user_gets_nothing(stranger: Any) -> None:
    """Neither while it is in flight nor when it was answered."""
    ann, eve = stranger(ANN).connect(), stranger(EVE).connect()
    asked = ask(ann)
    assert answer(ann, asked)["you"]["uid"] == ANN
    waiting = wire.new_request_id()
    body = b'{"model":"slow","messages":[{"role":"user","content":"hi"}]}'
    ann.send(message(wire.encode(wire.REQUEST, waiting, wire.RequestHead(path="/v1/chat/completions"), body)))
    answer(ann, ask(ann))  # what came before has been handled
    for kind in (wire.CANCEL, wire.CREDIT, wire.REQUEST):
        head = {wire.CREDIT: wire.CreditHead(5), wire.REQUEST: wire.RequestHead(path="/x", resend=True)}.get(kind)
        eve.send(message(wire.encode(kind, waiting, head)))
    refusal = wire.decode(eve.receive())
    assert (refusal.kind, refusal.head.error["code"]) == (wire.ERROR, "protocol_error")
    eve.send(message(wire.encode(wire.REQUEST, asked, wire.RequestHead("GET", "/mesh/v1/describe", resend=True))))
    assert answer(eve, asked)["you"]["uid"] == EVE
    ann.send(message(wire.encode(wire.CANCEL, waiting)))
    assert wire.decode(ann.receive()).request_id == waiting


def test_a_process_that_has_ended_lends_no_identity(door: Any, stranger: Any) -> None:
    """Its pid is another program's when the daemon accepts the connection, of the same user even."""
    last = Path("/proc/sys/kernel/ns_last_pid")
    if not os.access(last, os.W_OK):
        pytest.skip("this kernel does not let pids be chosen")
    os.kill(door.pid, signal.SIGSTOP)
    try:
        eve = stranger(EVE)
        peer = eve.connect()
        eve.end()
        other = reborn(eve.process.pid, last)
    finally:
        os.kill(door.pid, signal.SIGCONT)
    try:
        you = answer(peer, ask(peer))["you"]
        assert (you["uid"], you["exe"]) == (EVE, "")
    finally:
        other.kill()
        other.wait()


def reborn(pid: int, last: Path) -> subprocess.Popen[bytes]:
    """Another program of the same user, with that pid."""
    tried: list[subprocess.Popen[bytes]] = []

    def found() -> bool:
        last.write_text(str(pid - 1))
        tried.append(subprocess.Popen(["/usr/bin/sleep", "60"], user=EVE, group=EVE, extra_groups=[]))
        if tried[-1].pid != pid:
            tried[-1].kill()
            tried[-1].wait()
        return tried[-1].pid == pid

    until(found, what="a process gets that pid")
    with contextlib.suppress(OSError):
        assert os.readlink(f"/proc/{pid}/exe").endswith("sleep")
    return tried[-1]
