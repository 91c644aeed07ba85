"""The asyncio client: the same behaviour, on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
import uvloop

import modelmesh
from modelmesh._connection.async_registry import open_connections
from modelmesh.protocol import CANCEL, CREDIT, DEFAULT_CREDIT, HELLO, PING, REQUEST
from tests.support.client.calls import says
from tests.support.client.fake_daemon import BOUND, Paced, chunk, echo


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request, _nothing_left):
    """Runs a coroutine function on a new loop, bounded; left: how many connections it may leave open."""

    def runner(main, left=0):
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as loop:
            result = loop.run(asyncio.wait_for(main(), BOUND * 2))
        assert len(open_connections()) == left
        return result

    return runner


async def ask(client, text, **options):
    reply = await client.chat.completions.create(model="m", messages=says(text), **options)
    return reply.choices[0].message.content


async def soon(check, *arguments):
    """What a blocking, bounded check of the fake daemon gives, with the loop running on."""
    return await asyncio.get_running_loop().run_in_executor(None, check, *arguments)


def test_replies_and_streams(run, daemon, socket_path):
    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            reply = await client.chat.completions.create(model="m", messages=says("hi"))
            assert (reply.choices[0].message.content, reply.mesh.pool) == ("hi", "p")
            stream = await client.chat.completions.create(model="m", messages=says("a b"), stream=True)
            chunks = [item async for item in stream]
            assert [item.choices[0].delta.content for item in chunks] == ["a ", "b "]
            assert chunks[-1].mesh.provider == stream.mesh.provider == "scripted"

    run(main)


def test_hundreds_at_once_over_one_connection(run, daemon, socket_path):
    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            answers = await asyncio.gather(*(ask(client, str(number)) for number in range(500)))
            assert answers == [str(number) for number in range(500)]

    run(main)
    assert len(daemon.peers) == 1


def test_one_client_in_several_loops_in_turn(run, daemon, socket_path):
    client = modelmesh.AsyncOpenAIClient(socket_path)

    async def once():
        assert await ask(client, "hi") == "hi"

    run(once, left=1)
    run(once, left=1)

    async def last():
        assert await ask(client, "hi") == "hi"
        await client.close()
        with pytest.raises(modelmesh.MeshError, match="closed"):
            await ask(client, "hi")

    run(last)
    assert len(daemon.peers) == 3


def test_a_loop_that_ended_with_its_client_open_is_cleaned_up_by_the_next(daemon, socket_path):
    async def main(client):
        assert await ask(client, "hi") == "hi"

    client = modelmesh.AsyncOpenAIClient(socket_path)
    asyncio.run(main(client))
    asyncio.run(main(client))
    assert len(open_connections()) == 1

    async def close():
        async with modelmesh.AsyncOpenAIClient(socket_path) as other:
            assert await ask(other, "hi") == "hi"

    asyncio.run(close())
    assert not open_connections()


def test_timeouts_and_cancelled_tasks_cancel_the_request(run, start, socket_path):
    daemon = start(lambda *_: None)

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            with pytest.raises(modelmesh.APITimeoutError):
                await ask(client, "hi", timeout=0.1)
            await soon(daemon.wait_for, CANCEL, 1)
            task = asyncio.create_task(ask(client, "hi"))
            await soon(daemon.wait_for, REQUEST, 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await soon(daemon.wait_for, CANCEL, 2)

    run(main)


def test_leaving_streams_cancels_them(run, start, socket_path):
    daemon = start(lambda daemon, peer, message: daemon.chunk(peer, message, chunk("x ")))

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:

            async def stream():
                return await client.chat.completions.create(model="m", messages=says("a"), stream=True)

            async with await stream() as one:
                await anext(one)
            await soon(daemon.wait_for, CANCEL, 1)
            async for _ in await stream():
                break
            gc.collect()
            await soon(daemon.wait_for, CANCEL, 2)
            await (await stream()).close()
            await soon(daemon.wait_for, CANCEL, 3)

    run(main)


def test_credit(run, start, socket_path):
    paced = Paced(DEFAULT_CREDIT * 3)
    daemon = start(paced, on_credit=paced)

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            stream = await client.chat.completions.create(model="m", messages=says("a"), stream=True)
            assert len([item async for item in stream]) == DEFAULT_CREDIT * 3

    run(main)
    assert [message.head.chunks for message in daemon.wait_for(CREDIT, 4)][:4] == [DEFAULT_CREDIT // 2] * 4


def test_a_restart_is_not_an_error_but_interrupts_a_begun_stream(run, start, socket_path):
    def handler(daemon, peer, message):
        if message.head.stream:
            daemon.chunk(peer, message, chunk("so far"))

    first = start(handler)

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path, timeout=BOUND) as client:
            stream = await client.chat.completions.create(model="m", messages=says("a"), stream=True)
            await anext(stream)
            reply = asyncio.create_task(ask(client, "hi"))
            await soon(first.wait_for, REQUEST, 2)
            await soon(first.stop)
            second = await soon(start)
            assert await reply == "hi"
            assert [message.head.resend for message in second.of_kind(REQUEST)] == [True]
            with pytest.raises(modelmesh.StreamInterrupted) as raised:
                await anext(stream)
            assert raised.value.text == "so far"

    run(main)


def test_draining_holds_new_requests(run, start, socket_path):
    old = start()

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path, timeout=BOUND) as client:
            assert await ask(client, "hi") == "hi"
            old.do(old.goaway)
            reply = asyncio.create_task(ask(client, "held"))
            await soon(old.wait_for, HELLO, 2)
            await soon(old.stop)
            await soon(start)
            assert await reply == "held"

    run(main)


def test_heartbeats(run, start, socket_path):
    daemon = start(heartbeat_ms=50)

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            assert await ask(client, "hi") == "hi"
            await soon(daemon.wait_for, PING, 3)

    run(main)
    assert len(daemon.peers) == 1


def test_no_daemon_is_an_error_at_once(run, socket_path):
    async def main():
        began = time.monotonic()
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            with pytest.raises(modelmesh.DaemonUnavailableError):
                await ask(client, "hi")
        assert time.monotonic() - began < 1

    run(main)


def test_it_needs_no_thread(run, daemon, socket_path):
    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            before = threading.active_count()
            assert await ask(client, "hi") == "hi"
            assert threading.active_count() == before

    run(main)


def test_retries_wait_as_long_as_they_are_told(run, start, socket_path):
    seen = []

    def handler(daemon, peer, message):
        seen.append(message.request_id)
        if len(seen) < 3:
            daemon.error(peer, message, 429, retryable=True, retry_after=0.01, **{"class": "RateLimitError"})
        else:
            echo(daemon, peer, message)

    start(handler)

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            assert await ask(client, "hi") == "hi"

    run(main)
    assert len(set(seen)) == 3


def test_models_can_be_awaited_or_iterated(run, start, socket_path):
    start(lambda daemon, peer, message: daemon.respond(peer, message, {"data": [{"id": "a"}, {"id": "b"}]}))

    async def main():
        async with modelmesh.AsyncOpenAIClient(socket_path) as client:
            assert [model.id for model in await client.models.list()] == ["a", "b"]
            assert [model.id async for model in client.models.list()] == ["a", "b"]

    run(main)
