"""A long body is read beside the loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from meshd.formats.openai.format import OPENAI
from meshd.gateway.requests import arrival
from modelmesh.errors import NotFoundError
from tests.support.gateway.asked import answer_of
from tests.support.gateway.builder import Gateway
from tests.support.waiting import WAIT


class Held:
    """The format's reading, which lasts until it is released."""

    def __init__(self) -> None:
        self.began, self.released = threading.Event(), threading.Event()
        self._read = OPENAI.app.read

    def read(self, *args: Any, **options: Any) -> Any:
        self.began.set()
        assert self.released.wait(WAIT)
        return self._read(*args, **options)


async def test_the_loop_continues_while_a_long_body_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    monkeypatch.setattr(OPENAI.app, "read", held.read)
    gateway = Gateway()
    body = b'{"model":"nothing","messages":[{"role":"user","content":"%s"}]}' % (b"x" * arrival.LONG)
    asked = asyncio.create_task(answer_of(gateway.router.dispatcher, "POST", "/v1/chat/completions", body))
    assert await asyncio.to_thread(held.began.wait, WAIT)
    assert not asked.done()
    held.released.set()
    with pytest.raises(NotFoundError):
        await asked
    await gateway.router.close()
