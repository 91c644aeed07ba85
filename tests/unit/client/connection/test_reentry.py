"""A client used where a thread is in the middle of a call of its own, and from several loops at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

import modelmesh
from tests.support.client.calls import ask, says
from tests.support.client.fake_daemon import BOUND, FakeDaemon, echo


@pytest.fixture
def daemon(socket_path):
    """Answers everything but "wait", which it answers after the next "go"."""
    waiting = []

    def answer(daemon, peer, message):
        if b'"wait"' in message.body:
            waiting.append((peer, message))
            os.kill(os.getpid(), signal.SIGUSR1)
            return
        echo(daemon, peer, message)
        if b'"go"' in message.body:
            for other in waiting:
                echo(daemon, *other)
            waiting.clear()

    with FakeDaemon(socket_path, answer) as daemon:
        yield daemon


def test_a_signals_handler_asks_during_a_call(daemon):
    heard = []
    with modelmesh.OpenAIClient(daemon.path, timeout=BOUND) as client:

        def handler(number, frame):
            heard.append(ask(client, "go"))

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            assert ask(client, "wait") == "wait"
            assert ask(client, "wait") == "wait"
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert heard == ["go", "go"]


def test_one_asyncio_client_in_two_loops_at_once(daemon):
    client = modelmesh.AsyncOpenAIClient(daemon.path, timeout=BOUND)
    both = threading.Barrier(4)
    answers, failures = [], []

    def run(name):
        async def main():
            both.wait(BOUND)
            for turn in range(30):
                text = f"{name} {turn}"
                reply = await client.chat.completions.create(model="m", messages=says(text))
                answers.append(reply.choices[0].message.content == text)

        try:
            asyncio.run(main())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND * 2)
    asyncio.run(client.close())
    assert failures == []
    assert answers == [True] * 120
