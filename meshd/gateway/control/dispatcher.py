"""One table of operations for every entry point: the socket, an HTTP listener, the facade.

Owns: which operation a method and path name, and who may call it.
Must never: know frames or HTTP.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from meshd.core.caller import Caller
from meshd.gateway.frontends.admission import MOST_FIELDS, too_many
from meshd.gateway.frontends.exchange import ClientGone, Request, not_read
from meshd.host.users import user_name
from modelmesh.errors import AccessDeniedError, InvalidRequestError, MeshError, NotFoundError
from modelmesh.wording import likeliest, short, told

logger = logging.getLogger("meshd.gateway")


@dataclass(slots=True)
class Call:
    """A call of one of the mesh's own operations. rest: what follows a path that ends in a slash."""

    caller: Caller
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    rest: str = ""


Handler = Callable[[Call], Awaitable[Any]]
StreamHandler = Callable[[Call], AsyncIterator[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    handler: Handler
    admin: bool = False
    stream: StreamHandler | None = None


class Dispatcher:
    """infer: handles requests to models; everything else is in the table. is_admin: who may call administrative
    operations."""

    def __init__(self, inference_paths: frozenset[str], infer: Callable[[Request], Awaitable[None]]) -> None:
        self._inference_paths = inference_paths
        self._infer = infer
        self.is_admin: Callable[[Caller], bool] = is_owner
        self._exact: dict[tuple[str, str], Operation] = {}
        self._prefixes: list[tuple[str, str, Operation]] = []

    def add(
        self, method: str, path: str, handler: Handler, *, admin: bool = False, stream: StreamHandler | None = None
    ) -> None:
        """Add an operation. A path that ends in "/" matches everything below it."""
        operation = Operation(handler, admin, stream)
        if path.endswith("/"):
            self._prefixes.append((method, path, operation))
        else:
            self._exact[method, path] = operation

    async def run(self, request: Request) -> None:
        """Answer a request, whatever happens."""
        try:
            if request.path in self._inference_paths:
                if request.method != "POST":
                    raise _not_allowed(request.path, ("POST",))
                _require_json(request)
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
        path, call = request.path, Call(request.caller, query=_query(request.query))
        operation = self._find(request.method, path, call)  # before the body is read, which may be a form
        self._authorize(operation, request.caller, path)
        _require_json(request)
        call.body = _object(request.body)
        if request.stream:
            if operation.stream is None:
                raise InvalidRequestError(f"{path} does not stream")
            items: Any = operation.stream(call)
            async with aclosing(items):
                async for item in items:
                    await request.reply.chunk(msgspec.json.encode(item))
            request.reply.end(None, {})
        else:
            request.reply.respond(msgspec.json.encode(await operation.handler(call)), {}, _JSON)

    def _authorize(self, operation: Operation, caller: Caller, path: str) -> None:
        if operation.admin and not self.is_admin(caller):
            allowed = list(dict.fromkeys(["root", user_name(os.getuid()), "apps with admin: true"]))
            raise AccessDeniedError(
                told(
                    f"{short(caller.user)} may not give this command; use root, or an app with `admin: true`.",
                    f"{path} is for {', '.join(allowed)}",
                ),
                app=caller.app,
                allowed=allowed,
            )

    def _find(self, method: str, path: str, call: Call) -> Operation:
        operation = self._exact.get((method, path))
        if operation is not None:
            return operation
        for prefix_method, prefix, operation in self._prefixes:
            if prefix_method == method and path.startswith(prefix) and len(path) > len(prefix):
                call.rest = unquote(path[len(prefix) :])
                return operation
        others = {known for known, known_path in self._exact if known_path == path}
        others |= {known for known, prefix, _ in self._prefixes if path.startswith(prefix) and len(path) > len(prefix)}
        if others:
            raise _not_allowed(path, others)
        known = self.paths(path.startswith(_OWN_PREFIX))
        shown = path[:_NAMED]
        near = path_meant(shown, [name for name, _ in known])
        raise NotFoundError(
            told(
                f"There is no path {short(shown)} here; {f'did you mean {near}?' if near else 'ask for one of these.'}",
                f"there are {', '.join(f'{method} {name}' for name, method in known)}",
            ),
            code="unknown_path",
            paths=[name for name, _ in known],
        )

    def operations(self) -> Iterator[tuple[str, str, Operation]]:
        """(method, path, operation) of the table; a path that ends in "/" stands for everything below it."""
        for (method, path), operation in self._exact.items():
            yield method, path, operation
        yield from self._prefixes

    def paths(self, own: bool) -> list[tuple[str, str]]:
        """(path, method) of all operations: the mesh's own, or those of OpenAI's API."""
        found = {(path, method) for method, path in self._exact} | {(path, "POST") for path in self._inference_paths}
        found |= {(f"{prefix}…", method) for method, prefix, _ in self._prefixes}
        return sorted(each for each in found if each[0].startswith(_OWN_PREFIX) == own)


_OWN_PREFIX = "/mesh/"
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


def _require_json(request: Request) -> None:
    """Raises InvalidRequestError if the body is declared as another type and is not JSON. JSON is accepted with any
    declared type, since some programs send none, or that of a form."""
    body = request.body
    if not body or body[:64].lstrip()[:1] == b"{":
        return
    headers = {name.lower(): value for name, value in request.headers.items()}
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    coded = headers.get("content-encoding", "").strip().lower()
    if coded not in ("", "identity"):
        what = f"a body compressed with {coded[:_NAMED]}"
    elif media and not media.endswith(("/json", "+json")) and media != "text/plain":
        what = media[:_NAMED]
    else:
        return
    raise InvalidRequestError(
        f"{short(request.path)} takes a JSON body, not {short(what)}; send it as JSON.",
        status_code=415,
        code="unsupported_media_type",
    )


_JSON = {"content-type": "application/json"}


def _query(text: str) -> dict[str, str]:
    if (fields := text.count("&") + 1) > MOST_FIELDS:
        raise too_many("fields in its query", fields)
    return dict(parse_qsl(text))


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not a JSON object: {error}", code="invalid_json") from None


def is_owner(caller: Caller) -> bool:
    """Whether the caller is root or the daemon's own user."""
    return caller.uid in (0, os.getuid())
