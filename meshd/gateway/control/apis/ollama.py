"""Ollama's API: chats, generations and embeddings as requests to models, and its lists.

Owns: the endpoints. Must never: read or write Ollama's JSON of a request (`formats/ollama`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from meshd.formats.lists import ollama as lists
from meshd.formats.ollama.answer import Answering, written_time
from meshd.formats.ollama.request import Kind, Translated, translated, without_tag
from meshd.gateway.actors import Actors
from meshd.gateway.control.apis.models import entries_of, entry_of
from meshd.gateway.control.base import Group, text
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.frontends.exchange import Reply, ReplyInFront, Request
from meshd.gateway.requests.arrival import LONG
from meshd.gateway.runtime import Runtime
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.operations.known import serves
from meshd.routing.table.specs import RoutingTable, UnknownModel

API_VERSION = "0.13.0"
"""The version of Ollama whose API this is: clients refuse to talk to old ones."""
_FORMAT = "ollama"
_OPERATIONS = {"completion": CHAT, "embedding": EMBEDDINGS}


class Ollama(Group):
    """infer: answers a request to a model. reader: reads long bodies in another thread."""

    def __init__(
        self, runtime: Runtime, actors: Actors, infer: Callable[[Request], Awaitable[None]], reader: Executor
    ) -> None:
        super().__init__(runtime, actors)
        self._infer = infer
        self._reader = reader
        self._since = written_time(time.time())

    def add_to(self, table: Dispatcher) -> None:
        for kind in Kind:
            table.add_raw("POST", kind.value, partial(self._answer, kind), format=_FORMAT)
        table.add("GET", "/api/tags", self.tags, format=_FORMAT)
        table.add("GET", "/api/ps", self.running, format=_FORMAT)
        table.add("POST", "/api/show", self.show, format=_FORMAT)
        table.add("GET", "/api/version", self.version, format=_FORMAT)

    # -- requests to models ---------------------------------------------------------------------------

    async def _answer(self, kind: Kind, request: Request, rest: str) -> None:
        read = partial(translated, kind, request.body, partial(_is_known, self.runtime.table))
        if len(request.body) > LONG:
            asked = await asyncio.get_running_loop().run_in_executor(self._reader, read)
        else:
            asked = read()
        answering = Answering(asked, request.arrived_at)
        if not asked.path:
            self._check(request, asked.model)
            request.reply.respond(answering.loaded(time.time()), {}, _media(asked))
            return
        request.path, request.body = asked.path, asked.body
        reply = request.way_back = OllamaReply(request.reply, asked, answering)
        await self._infer(request)
        await reply.finish()

    def _check(self, request: Request, name: str) -> None:
        """Raises NotFoundError, AccessDeniedError."""
        identity = self.runtime.apps.identify(request.caller)
        self.runtime.apps.check(identity, self.resolve(name, identity.spec))

    # -- lists ----------------------------------------------------------------------------------------

    async def tags(self, call: Call) -> dict[str, Any]:
        app = self.runtime.apps.identify(call.caller).spec
        return lists.tags(entries_of(app, self.runtime.table), self._since)

    async def running(self, call: Call) -> dict[str, Any]:
        return {"models": []}

    async def show(self, call: Call) -> dict[str, Any]:
        """Raises NotFoundError, AccessDeniedError."""
        table, app = self.runtime.table, self.runtime.apps.identify(call.caller).spec
        asked = text(call.body, "model" if "model" in call.body else "name")
        name = without_tag(asked, partial(_is_known, table))
        entry = entry_of(name, self.visible(call, name), app, table)
        answers = [
            word
            for word, operation in _OPERATIONS.items()
            if any(serves(operation, leaf) for leaf in entry.capabilities)
        ]
        return lists.shown(entry, answers)

    async def version(self, call: Call) -> dict[str, Any]:
        return {"version": API_VERSION}


class OllamaReply(ReplyInFront):
    """Wraps an app's reply: OpenAI's answers become Ollama's. The end of a stream is left to `finish`, since sending it
    may have to wait for the app."""

    __slots__ = ("_answering", "_ended", "_media")

    def __init__(self, app: Reply, asked: Translated, answering: Answering) -> None:
        super().__init__(app)
        self._answering = answering
        self._media = _media(asked)
        self._ended: tuple[dict[str, Any] | None, dict[str, Any]] | None = None

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.done = True
        self._app.respond(self._answering.whole(body, time.time()), mesh, {**(headers or {}), **self._media})

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self.done = True
        self._ended = usage, mesh

    async def chunk(self, data: bytes) -> None:
        said = self._answering.chunk(data, time.time())
        if said is not None:
            await self._app.chunk(said)
        self.sent += 1

    async def finish(self) -> None:
        """Send the end of a stream. Raises ClientGone, TimeoutError."""
        if self._ended is None:
            return
        usage, mesh = self._ended
        for line in self._answering.end(usage, time.time()):
            await self._app.chunk(line)
        self._app.end(usage, mesh)


def _media(asked: Translated) -> dict[str, str]:
    return {"content-type": "application/x-ndjson" if asked.stream else "application/json"}


def _is_known(table: RoutingTable, name: str) -> bool:
    try:
        table.resolve(name)
    except UnknownModel:
        return False
    return True
