"""Frames there and back, and whatever else might arrive."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelmesh import protocol as wire

TEXTS = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
MAPS = st.dictionaries(TEXTS, JSON, max_size=4)
COUNTS = st.integers(-(2**63), 2**64 - 1)
IDS = st.binary(min_size=16, max_size=16)
HEADS = {
    wire.HELLO: st.builds(wire.HelloHead, version=COUNTS, client=TEXTS, process=TEXTS, app=TEXTS),
    wire.WELCOME: st.builds(
        wire.WelcomeHead, version=COUNTS, daemon=TEXTS, instance=TEXTS, credit=COUNTS, draining=st.booleans()
    ),
    wire.REQUEST: st.builds(
        wire.RequestHead,
        method=TEXTS,
        path=TEXTS,
        headers=st.dictionaries(TEXTS, TEXTS, max_size=4),
        deadline_ms=COUNTS,
        stream=st.booleans(),
        credit=COUNTS,
        resend=st.booleans(),
        app=TEXTS,
    ),
    wire.RESPONSE: st.builds(
        wire.ResponseHead, status=COUNTS, headers=st.dictionaries(TEXTS, TEXTS, max_size=4), mesh=MAPS
    ),
    wire.END: st.builds(wire.EndHead, usage=st.none() | MAPS, mesh=MAPS),
    wire.ERROR: st.builds(wire.ErrorHead, status=COUNTS, error=MAPS, mesh=MAPS),
    wire.CREDIT: st.builds(wire.CreditHead, chunks=COUNTS),
    wire.GOAWAY: st.builds(wire.GoawayHead, reason=TEXTS, drain_ms=COUNTS),
}
MESSAGES = st.sampled_from(sorted(wire.KIND_NAMES)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.just(b"") | IDS, HEADS.get(kind, st.none()), st.binary(max_size=100))
)


@given(MESSAGES, st.lists(st.binary(max_size=20), max_size=3))
def test_there_and_back(given_message, attachments):
    kind, request_id, head, body = given_message
    message = wire.decode([*wire.encode(kind, request_id, head, body), *attachments])
    assert message == wire.Message(kind, request_id, head, body, tuple(attachments))


@given(st.sampled_from(sorted(HEADS)), IDS, st.dictionaries(TEXTS.map(lambda key: f"x-{key}"), JSON, max_size=4))
def test_unknown_keys_are_ignored(kind, request_id, unknown):
    known = {"chunks": 3} if kind == wire.CREDIT else {}
    head = msgspec.msgpack.encode({**unknown, **known})
    assert wire.decode([kind, request_id, head]).head == (
        wire.CreditHead(3) if kind == wire.CREDIT else wire.HEAD_TYPES[kind]()
    )


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_anything_is_a_message_or_malformed(frames):
    decodes_or_is_malformed(frames)


@given(
    st.sampled_from(sorted(wire.KIND_NAMES)) | st.binary(max_size=2),
    IDS | st.binary(max_size=40),
    st.binary(max_size=60) | JSON.map(msgspec.msgpack.encode) | MAPS.map(msgspec.msgpack.encode),
)
@example(wire.REQUEST, b"i" * 16, b"\x81\xa1x" + b"\x91" * 100_000)
@example(wire.ERROR, b"i" * 16, b"\x81\xa4mesh" + b"\x81\xa1a" * 100_000)
@example(wire.RESPONSE, b"i" * 16, b"\x81\xa4mesh\xdf\xff\xff\xff\xff")
@example(wire.HELLO, b"", b"\x81\xa3app\xdb\xff\xff\xff\xff")
@example(wire.HELLO, b"", b"\x81\xa3app\xa2\xff\xfe")
@example(wire.CREDIT, b"", b"")
def test_almost_messages_are_messages_or_malformed(kind, request_id, head):
    decodes_or_is_malformed([kind, request_id, head, b"body"])


@given(MESSAGES, st.data())
def test_damaged_messages_are_messages_or_malformed(given_message, data):
    kind, request_id, head, body = given_message
    frames = wire.encode(kind, request_id, head, body)
    damaged = bytearray(frames[2])
    if damaged:
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] ^= data.draw(st.integers(1, 255))
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    frames[2] = bytes(damaged)
    decodes_or_is_malformed(frames)


def decodes_or_is_malformed(frames: list[bytes]) -> None:
    try:
        message = wire.decode(frames)
        kind, request_id, complaint = message.kind, message.request_id, ""
    except wire.MalformedMessage as error:
        kind, request_id, complaint = wire.ERROR, error.request_id, str(error)
    assert kind in wire.KIND_NAMES
    assert request_id == b"" or (len(request_id) == 16 and request_id == frames[1])
    assert complaint.isprintable()


@pytest.mark.parametrize(
    ("frames", "says", "readable"),
    [
        ([], "at least 3 frames", False),
        ([wire.PING, b""], "at least 3 frames", False),
        ([b"\x63", b"i" * 16, b""], "unknown kind 63", True),
        ([b"", b"i" * 16, b""], "of no bytes", True),
        ([b"\x03\x03", b"i" * 16, b""], "unknown kind 0303", True),
        ([b"\x63", b"short", b""], "unknown kind", False),
        ([wire.REQUEST, b"short", b""], "16 bytes, this one has 5", False),
        ([wire.REQUEST, b"i" * 16, b"\xc1"], "REQUEST head", True),
        ([wire.REQUEST, b"i" * 16, b"\x90"], "REQUEST head", True),
        ([wire.REQUEST, b"i" * 16, msgspec.msgpack.encode({"path": 7})], "REQUEST head", True),
        ([wire.CREDIT, b"i" * 16, b"\x80"], "CREDIT head", True),
    ],
)
def test_malformed_messages_say_what_is_wrong(frames, says, readable):
    with pytest.raises(wire.MalformedMessage, match=says) as caught:
        wire.decode(frames)
    assert caught.value.request_id == (b"i" * 16 if readable else b"")


def test_a_message_may_have_no_body_frame():
    assert wire.decode([wire.PING, b"", b""]) == wire.Message(wire.PING, b"", None, b"")


def test_ids_are_new():
    ids = {wire.new_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(one) for one in ids} == {wire.REQUEST_ID_BYTES}
