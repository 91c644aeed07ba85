"""Google's Gemini API: its methods below a model's path as requests to models, its counts of tokens, and its lists.

Owns: the endpoints. Must never: read or write the API's JSON (`formats/gemini`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from meshd.formats.gemini import arriving
from meshd.formats.gemini.framing import ChunkArray
from meshd.formats.lists.gemini import GeminiList
from meshd.gateway.actors import Actors
from meshd.gateway.control.apis.models import answerable, entries_of, entry_of
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.frontends.exchange import Reply, ReplyInFront, Request
from meshd.gateway.frontends.media import require_json
from meshd.gateway.responses.keeper import ResponseKeeper
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from modelmesh.errors import NotFoundError
from modelmesh.wording import short

_FORMAT = "gemini"
_MODELS = "/v1beta/models"
_NEWER = "/v1/models"  # where OpenAI's and Anthropic's lists are as well
_LIST = GeminiList()
_SPOKEN = Spoken(CHAT, _FORMAT)
_JSON = {"content-type": "application/json; charset=UTF-8"}


class Gemini(Group):
    """infer: answers a request to a model. responses: counts its tokens."""

    def __init__(
        self,
        runtime: Runtime,
        actors: Actors,
        infer: Callable[[Request], Awaitable[None]],
        responses: ResponseKeeper,
    ) -> None:
        super().__init__(runtime, actors)
        self._infer = infer
        self._responses = responses

    def add_to(self, table: Dispatcher) -> None:
        for path in (_MODELS, _NEWER):
            table.add_raw("POST", f"{path}/", self._answer, format=_FORMAT)
        table.add("GET", _MODELS, self.list, format=_FORMAT)
        table.add("GET", f"{_MODELS}/", self.get, format=_FORMAT)

    # -- requests to models ---------------------------------------------------------------------------

    async def _answer(self, request: Request, rest: str) -> None:
        """Raises MeshError."""
        model, method = arriving.split(rest)
        if not model or method not in arriving.METHODS:
            methods = ", ".join(arriving.METHODS)
            raise NotFoundError(
                f"A model has no {short(method or rest)} here; there are {methods}.", code="unknown_path"
            )
        request.reply.frame(_SPOKEN.format.app)  # other APIs have such a path, too
        require_json(request)
        match method:
            case arriving.COUNT:
                request.body = arriving.counted_body(request.body, model)
                tokens = await self._responses.count(request, _SPOKEN)
                request.reply.respond(_SPOKEN.format.app.counted(tokens), {}, _JSON)
            case arriving.EMBED | arriving.BATCH:
                await self._embed(request, model, batch=method == arriving.BATCH)
            case _:
                stream = method == arriving.STREAM
                if stream and "alt=sse" not in request.query.split("&"):
                    request.reply.frame(ChunkArray())
                request.body = arriving.with_model(request.body, model, stream=stream)
                request.path = CHAT.paths[_FORMAT]
                await self._infer(request)

    async def _embed(self, request: Request, model: str, *, batch: bool) -> None:
        from meshd.formats.gemini.operations.vectors import as_openai

        request.body = as_openai(request.body, model, batch=batch)
        request.path = EMBEDDINGS.paths["openai"]
        request.way_back = VectorsReply(request.reply, batch=batch)
        await self._infer(request)

    # -- lists ----------------------------------------------------------------------------------------

    async def list(self, call: Call) -> dict[str, Any]:
        app, table = self.runtime.apps.identify(call.caller).spec, self.runtime.table
        return _LIST.listed(answerable(entries_of(app, table), _FORMAT), call.query)

    async def get(self, call: Call) -> dict[str, Any]:
        """Raises NotFoundError, AccessDeniedError."""
        identity = self.runtime.apps.identify(call.caller)
        target = self.resolve(call.rest, identity.spec)
        self.runtime.apps.check(identity, target)
        return _LIST.one(entry_of(call.rest, target, identity.spec, self.runtime.table))


class VectorsReply(ReplyInFront):
    """Wraps an app's reply: OpenAI's embeddings become Gemini's."""

    __slots__ = ("_batch",)

    def __init__(self, app: Reply, *, batch: bool) -> None:
        super().__init__(app)
        self._batch = batch

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        from meshd.formats.gemini.operations.vectors import as_gemini

        self.done = True
        self._app.respond(as_gemini(body, batch=self._batch), mesh, {**(headers or {}), **_JSON})

    async def chunk(self, data: bytes) -> None:
        await self._app.chunk(data)
