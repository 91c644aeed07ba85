"""A daemon that was drained and stays."""

from __future__ import annotations

import asyncio
import time

import pytest

import modelmesh
from modelmesh.protocol import GOAWAY, GoawayHead, encode
from tests.support.client.calls import InThread, ask, says
from tests.support.client.fake_daemon import BOUND, FakeDaemon


@pytest.fixture
def client(socket_path):
    with modelmesh.OpenAIClient(socket_path, timeout=BOUND, max_retries=0, drain_slack=0.3) as client:
        yield client


def refused(job) -> float:
    """Seconds until the job ended as it has to."""
    began = time.monotonic()
    with pytest.raises(modelmesh.RoutingError, match="is draining") as caught:
        job()
    assert (caught.value.status_code, caught.value.code, caught.value.retryable) == (503, "draining", True)
    return time.monotonic() - began


def test_a_daemon_that_was_drained_is_an_error_soon(start, client):
    start(draining=True)
    assert refused(lambda: ask(client, "hi")) < 3
    assert refused(lambda: ask(client, "hi")) < 0.3


def test_a_daemon_may_take_the_time_it_named(start, client):
    daemon = start()
    assert ask(client, "hi") == "hi"
    daemon.draining = True
    daemon.do(lambda: [daemon.send(peer, encode(GOAWAY, b"", GoawayHead("x", 500))) for peer in daemon.peers])
    daemon.do(lambda: None)
    time.sleep(0.1)
    assert 0.4 < refused(lambda: ask(client, "hi")) < 3


def test_the_next_daemon_still_gets_what_was_held(start, client):
    old: FakeDaemon = start(draining=True)
    reply = InThread(lambda: ask(client, "hi"))
    time.sleep(0.1)
    old.stop()
    time.sleep(0.5)
    start()
    assert reply.result() == "hi"


def test_a_timeout_that_is_shorter_says_draining_too(start, socket_path):
    start(draining=True)
    with modelmesh.OpenAIClient(socket_path, timeout=0.4, max_retries=0, drain_slack=30.0) as client:
        assert refused(lambda: ask(client, "hi")) < 3


def test_asyncio_too(start, socket_path):
    start(draining=True)

    async def main() -> None:
        async with modelmesh.AsyncOpenAIClient(socket_path, timeout=10, max_retries=0, drain_slack=0.3) as client:
            await client.chat.completions.create(model="m", messages=says("hi"))

    assert refused(lambda: asyncio.run(main())) < 3


def test_event_loops_come_and_go_in_many_threads(start, socket_path):
    start()

    async def main() -> None:
        async with modelmesh.AsyncOpenAIClient(socket_path, timeout=10) as client:
            await client.chat.completions.create(model="m", messages=says("hi"))

    def again() -> None:
        for _ in range(20):
            asyncio.run(main())

    for job in [InThread(again) for _ in range(8)]:
        job.result()
