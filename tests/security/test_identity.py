"""Who calls is known from the kernel alone."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

import msgspec
import pytest

from modelmesh import protocol as wire
from tests.support.apps.other_users.stranger import pids_can_be_chosen, reborn
from tests.support.apps.raw_peer import RawPeer, message

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
    pids_can_be_chosen()
    eve = stranger(EVE)
    os.kill(door.pid, signal.SIGSTOP)
    with contextlib.ExitStack() as others:
        try:
            peer = eve.connect()
            eve.end()
            others.enter_context(reborn(eve.process.pid, EVE))
        finally:
            os.kill(door.pid, signal.SIGCONT)
        you = answer(peer, ask(peer))["you"]
        assert (you["uid"], you["exe"]) == (EVE, "")
