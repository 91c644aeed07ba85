"""One table of operations for every entry point: the socket, the HTTP listener, the facade.

Owns: which operation a method and path name, who may call it, and in which format its errors are written. The HTTP
listener serves all of it; the mesh's own paths only for the dashboard.
Must never: know frames or HTTP.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from meshd.core.caller import Caller, is_owner
from meshd.formats.headers import IN_JSON
from meshd.gateway.frontends.admission import MOST_FIELDS, too_many
from meshd.gateway.frontends.exchange import OWN_PREFIX, ClientGone, Request, not_read
from meshd.gateway.frontends.media import require_json
from meshd.host.users import user_name
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import AccessDeniedError, InvalidRequestError, MeshError, NotFoundError
from modelmesh.wording import likeliest, short, told

logger = logging.getLogger("meshd.gateway")

USUAL_FORMAT = "openai"
FormatOf = str | Callable[[Mapping[str, str]], str]
"""The name of a format; or, at a path that several APIs have, which one a request's headers mean."""


@dataclass(slots=True)
class Call:
    """A call of an operation that is not a request to a model. headers: by lower-case name. rest: what follows a path
    that ends in a slash."""

    caller: Caller
    headers: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    rest: str = ""


Handler = Callable[[Call], Awaitable[Any]]
StreamHandler = Callable[[Call], AsyncIterator[Any]]
RawHandler = Callable[[Request, str], Awaitable[None]]
"""Answers a request itself; the text is what follows a path that ends in a slash."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Either `handler`, with or without `stream`, or `raw`. format: that of its errors over HTTP. largest: None, or
    (bytes of a body that is read while it arrives, the key that would allow more). compressed: its body may be
    compressed."""

    handler: Handler | None = None
    admin: bool = False
    stream: StreamHandler | None = None
    raw: RawHandler | None = None
    format: FormatOf = USUAL_FORMAT
    streams: bool = False
    largest: Callable[[], tuple[int, str]] | None = None
    compressed: bool = False


class Dispatcher:
    """inference: the paths of requests to models, and the format of each. infer: handles them; everything else is in
    the table. is_admin: who may call administrative operations."""

    def __init__(self, inference: Mapping[str, str], infer: Callable[[Request], Awaitable[None]]) -> None:
        self._inference = inference
        self._infer = infer
        self.is_admin: Callable[[Caller], bool] = is_owner
        self._exact: dict[tuple[str, str], Operation] = {}
        self._prefixes: list[tuple[str, str, Operation]] = []
        self._later: list[tuple[tuple[str, ...], Callable[[], None]]] = []

    def add_later(self, beginnings: tuple[str, ...], add: Callable[[], None]) -> None:
        """Paths with these beginnings: `add` registers their operations when such a path is first requested."""
        self._later.append((beginnings, add))

    def _add_what_waits(self, path: str | None) -> None:
        """path: None for all."""
        due = [each for each in self._later if path is None or path.startswith(each[0])]
        for each in due:
            self._later.remove(each)
            each[1]()

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        admin: bool = False,
        stream: StreamHandler | None = None,
        format: FormatOf = USUAL_FORMAT,
    ) -> None:
        """Add an operation whose body and answer are JSON. A path that ends in "/" matches everything below it."""
        self._add(method, path, Operation(handler, admin, stream, format=format))

    def add_raw(
        self,
        method: str,
        path: str,
        raw: RawHandler,
        *,
        admin: bool = False,
        format: str = USUAL_FORMAT,
        streams: bool = False,
        largest: Callable[[], tuple[int, str]] | None = None,
        compressed: bool = False,
    ) -> None:
        """Add an operation that reads its body and answers by itself. streams: it reads `Request.upload`. compressed:
        it reads a body that is compressed with gzip."""
        operation = Operation(None, admin, None, raw, format, streams, largest, compressed)
        self._add(method, path, operation)

    def _add(self, method: str, path: str, operation: Operation) -> None:
        if path.endswith("/"):
            self._prefixes.append((method, path, operation))
        else:
            self._exact[method, path] = operation

    async def run(self, request: Request) -> None:
        """Answer a request, whatever happens."""
        try:
            if request.path in self._inference:
                if request.method != "POST":
                    raise _not_allowed(request.path, ("POST",))
                await self._infer(request)
            else:
                await self._call(request)
        except ClientGone:
            logger.debug("the app disconnected before its answer")
        except MeshError as error:
            request.reply.error(error)
        except TimeoutError:
            request.reply.error(not_read())
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            request.reply.error(MeshError("Internal error in the daemon; see its log.", code="internal_error"))

    # -- inside ---------------------------------------------------------------------------------------

    async def _call(self, request: Request) -> None:
        path = request.path
        operation, rest = self._find(request.method, path)  # before the body is read, which may be a form
        self._authorize(operation, request.caller, path)
        if operation.raw is not None:
            await operation.raw(request, rest)
            return
        assert operation.handler is not None
        call = Call(request.caller, request.headers, query=query_of(request), rest=rest)
        require_json(request)
        call.body = _object(request.body)
        if operation.stream is not None and call.query.get("stream") == "true":
            request.stream = True  # as over HTTP, where a GET has no body that says so
        if request.stream:
            if operation.stream is None:
                raise InvalidRequestError(f"{path} does not stream")
            items: Any = operation.stream(call)
            async with aclosing(items):
                async for item in items:
                    await request.reply.chunk(msgspec.json.encode(item))
            request.reply.end(None, {})
        else:
            request.reply.respond(msgspec.json.encode(await operation.handler(call)), {}, IN_JSON)

    def _authorize(self, operation: Operation, caller: Caller, path: str) -> None:
        if operation.admin and not self.is_admin(caller):
            who = short(caller.user or caller.app)
            allowed = list(dict.fromkeys(["root", user_name(os.getuid()), "apps with admin: true"]))
            raise AccessDeniedError(
                told(
                    f"{who} may not give this command; use root, or an app with `admin: true`.",
                    f"{path} is for {', '.join(allowed)}",
                ),
                app=caller.app,
                allowed=allowed,
            )

    def _find(self, method: str, path: str) -> tuple[Operation, str]:
        """The operation, and the rest of a path that ends in a slash."""
        self._add_what_waits(path)
        operation = self._exact.get((method, path))
        if operation is not None:
            return operation, ""
        for prefix_method, prefix, operation in self._prefixes:
            if prefix_method == method and _is_below(path, prefix):
                return operation, unquote(path[len(prefix) :])
        if others := self.methods(path):
            raise _not_allowed(path, others)
        raise self.unknown(path, own=path.startswith(OWN_PREFIX))

    def methods(self, path: str) -> set[str]:
        """Those that a path takes; empty if there is no such path."""
        if path in self._inference:
            return {"POST"}
        self._add_what_waits(path)
        exact = {method for method, known in self._exact if known == path}
        return exact | {method for method, prefix, _ in self._prefixes if _is_below(path, prefix)}

    def format(self, path: str, headers: Mapping[str, str]) -> str:
        """The name of the format in which errors are written. headers: by lower-case name."""
        found = self._inference.get(path)
        if found is not None:
            return found
        format = next((operation.format for operation in self._at(path)), USUAL_FORMAT)
        return format(headers) if callable(format) else format

    def streams(self, path: str) -> bool:
        """Whether the body of a request may be read while it arrives."""
        return path not in self._inference and any(operation.streams for operation in self._at(path))

    def compressed(self, path: str) -> bool:
        """Whether a body may be compressed with gzip."""
        return path not in self._inference and any(operation.compressed for operation in self._at(path))

    def largest(self, path: str) -> tuple[int, str] | None:
        """Bytes of a body that is read while it arrives, and the key that would allow more; None: as for any body."""
        if path in self._inference:  # as nearly all requests are
            return None
        return next((operation.largest() for operation in self._at(path) if operation.largest is not None), None)

    def _at(self, path: str) -> Iterator[Operation]:
        """The operations at a path, of any method."""
        self._add_what_waits(path)
        yield from (operation for (_, known), operation in self._exact.items() if known == path)
        yield from (operation for _, prefix, operation in self._prefixes if _is_below(path, prefix))

    def unknown(self, path: str, *, own: bool) -> NotFoundError:
        """The error for a path that does not exist. own: name the mesh's own paths, not those of the APIs."""
        known = self.paths(own)
        shown = path[:_NAMED]
        near = path_meant(shown, [name for name, _ in known])
        return NotFoundError(
            told(
                f"There is no path {short(shown)} here; {f'did you mean {near}?' if near else 'ask for one of these.'}",
                f"there are {', '.join(f'{method} {name}' for name, method in known)}",
            ),
            code="unknown_path",
            paths=[name for name, _ in known],
        )

    def operations(self) -> Iterator[tuple[str, str, Operation]]:
        """(method, path, operation) of the table; a path that ends in "/" stands for everything below it."""
        self._add_what_waits(None)
        for (method, path), operation in self._exact.items():
            yield method, path, operation
        yield from self._prefixes

    def paths(self, own: bool) -> list[tuple[str, str]]:
        """(path, method) of all operations: the mesh's own, or those of the APIs."""
        self._add_what_waits(None)
        found = {(path, method) for method, path in self._exact} | {(path, "POST") for path in self._inference}
        found |= {(f"{prefix}…", method) for method, prefix, _ in self._prefixes}
        return sorted(each for each in found if each[0].startswith(OWN_PREFIX) == own)


def _is_below(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and len(path) > len(prefix)


_VERSIONS = re.compile(r"^(?:/v\d+(?=/|$))+")
_LIKE_A_PATH = 0.75
_NAMED = 100  # characters of an app's text that an error repeats


def path_meant(path: str, known: list[str]) -> str | None:
    """The path that was probably meant. A common version prefix, or "…ions" at the end, does not make paths similar."""
    by_end = {_bare(name): name for name in known if not name.endswith("…")}
    found = likeliest(_bare(path), by_end, cutoff=_LIKE_A_PATH)
    return by_end[found] if found else None


def _bare(path: str) -> str:
    return _VERSIONS.sub("", path).strip("/").lower().replace("_", "-")


def _not_allowed(path: str, methods: Iterable[str]) -> InvalidRequestError:
    taken = sorted(methods)
    return InvalidRequestError(
        f"{short(path)} takes {', '.join(taken)}; use that method.",
        status_code=405,
        code="method_not_allowed",
        methods=taken,
    )


def query_of(request: Request) -> dict[str, str]:
    """Raises InvalidRequestError for too many fields."""
    text = request.query
    if (fields := text.count("&") + 1) > MOST_FIELDS:
        raise too_many("fields in its query", fields)
    return dict(parse_qsl(text))


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except UNREADABLE as error:
        raise InvalidRequestError(f"the body is not a JSON object: {error}", code="invalid_json") from None
