"""Streamed calls: chunks, credit, leaving early, breaking."""

from __future__ import annotations

import gc

import pytest

import modelmesh
from modelmesh.protocol import CANCEL, CREDIT, DEFAULT_CREDIT, REQUEST
from tests.support.client.calls import InThread, ask, says
from tests.support.client.fake_daemon import Paced, chunk, echo


def stream_of(client, text="a b c", **options):
    return client.chat.completions.create(model="m", messages=says(text), stream=True, **options)


def texts(stream):
    return [item.choices[0].delta.content for item in stream]


def test_chunks_come_in_order_and_the_last_one_has_what_the_mesh_did(daemon, client):
    with stream_of(client) as stream:
        chunks = list(stream)
    assert [item.choices[0].delta.content for item in chunks] == ["a ", "b ", "c "]
    assert chunks[-1].mesh.provider == "scripted"
    assert chunks[0].mesh is None
    assert stream.mesh.pool == "p"
    assert stream.usage == {"total_tokens": 3}
    assert list(stream) == []
    assert not daemon.of_kind(CANCEL)
    assert daemon.of_kind(REQUEST)[0].head.stream


def test_credit_is_granted_as_chunks_are_read(start, client):
    paced = Paced(DEFAULT_CREDIT * 3)
    daemon = start(paced, on_credit=paced)
    assert texts(stream_of(client)) == [f"{number} " for number in reversed(range(DEFAULT_CREDIT * 3))]
    granted = [message.head.chunks for message in daemon.wait_for(CREDIT, 4)]
    assert granted == [DEFAULT_CREDIT // 2] * len(granted)
    assert daemon.of_kind(REQUEST)[0].head.credit == DEFAULT_CREDIT


@pytest.fixture
def endless(start):
    """A daemon whose streams never end by themselves."""

    def handler(daemon, peer, message):
        if not message.head.stream:
            echo(daemon, peer, message)
            return
        for _ in range(3):
            daemon.chunk(peer, message, chunk("x "))

    return start(handler)


def leave_by_close(stream):
    next(stream)
    stream.close()
    stream.close()


def leave_by_with(stream):
    with stream:
        next(stream)


def leave_by_break(stream):
    for _ in stream:
        break


@pytest.mark.parametrize("leave", [leave_by_close, leave_by_with, leave_by_break])
def test_leaving_a_stream_cancels_it(endless, client, leave):
    leave(stream_of(client))
    gc.collect()
    assert endless.wait_for(CANCEL)[0].request_id == endless.of_kind(REQUEST)[0].request_id
    assert ask(client, "next") == "next"


def test_errors_before_the_first_chunk_are_raised_by_create(start, client):
    start(lambda daemon, peer, message: daemon.error(peer, message, 400, code="bad"))
    with pytest.raises(modelmesh.BadRequestError) as raised:
        stream_of(client)
    assert raised.value.code == "bad"


def test_a_stream_that_breaks_carries_the_text_so_far(start, client):
    def handler(daemon, peer, message):
        daemon.chunk(peer, message, chunk("so "))
        daemon.chunk(peer, message, chunk("far"))
        daemon.error(peer, message, 502, **{"class": "StreamInterrupted"})

    start(handler)
    with pytest.raises(modelmesh.StreamInterrupted) as raised:
        texts(stream_of(client))
    assert raised.value.text == "so far"


def test_a_stream_that_falls_silent_ends_at_its_timeout(endless, client):
    with pytest.raises(modelmesh.APITimeoutError):
        texts(stream_of(client, timeout=0.3))
    endless.wait_for(CANCEL)


def test_a_stream_read_by_turns_with_other_calls(daemon, client):
    stream = stream_of(client, "a b c d")
    seen = []
    for item in stream:
        seen.append(item.choices[0].delta.content)
        assert ask(client, "between") == "between"
    assert seen == ["a ", "b ", "c ", "d "]


def test_streams_in_threads_beside_unary_calls(daemon, client):
    words = " ".join(str(number) for number in range(200))
    jobs = [InThread(lambda: "".join(texts(stream_of(client, words)))) for _ in range(8)]
    for turn in range(50):
        assert ask(client, str(turn)) == str(turn)
    assert [job.result() for job in jobs] == [words + " "] * 8


def test_events_do_not_wait_for_the_first_one(start, client):
    held = []
    daemon = start(lambda daemon, peer, message: held.append((peer, message)))
    events = client.mesh.events()
    request = daemon.wait_for(REQUEST)[0]
    assert (request.head.path, request.head.deadline_ms) == ("/mesh/v1/events", 0)
    daemon.do(lambda: daemon.chunk(*held[0], {"type": "model_rotated", "pool": "p"}))
    assert next(events).type == "model_rotated"
    events.close()
    daemon.wait_for(CANCEL)


def test_a_raw_chunk_that_is_not_json_is_a_protocol_error(start, client):
    daemon = start(lambda daemon, peer, message: daemon.chunk(peer, message, b"<html>"))
    with pytest.raises(modelmesh.ProtocolError):
        texts(stream_of(client))
    daemon.wait_for(CANCEL)
