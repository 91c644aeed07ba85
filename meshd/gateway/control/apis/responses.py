"""What apps can ask for a kept response: to retrieve, delete or cancel it, or to list its input.

Owns: the paths below the one that creates responses, except the count of an input (`token_counts.py`).
Must never: reveal that another app's response exists.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from meshd.formats.headers import IN_JSON
from meshd.formats.keeping import Keeping
from meshd.formats.known import FORMATS
from meshd.gateway.access.owner import Owner, owner_of
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher, query_of
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.responses.keeper import ResponseKeeper
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken, spoken_at
from modelmesh.errors import InvalidRequestError, NotFoundError

_ITEMS, _CANCEL = "input_items", "cancel"


class Responses(Group):
    def __init__(self, runtime: Runtime, actors: Actors, responses: ResponseKeeper) -> None:
        super().__init__(runtime, actors)
        self._responses = responses

    def add_to(self, table: Dispatcher) -> None:
        for path, spoken in spoken_at().items():
            if FORMATS[spoken.format_name].keeps:
                table.add_raw("GET", f"{path}/", partial(self.get, spoken), format=spoken.format_name)
                table.add("DELETE", f"{path}/", partial(self.delete, spoken), format=spoken.format_name)
                table.add("POST", f"{path}/", partial(self.cancel, spoken), format=spoken.format_name)

    async def get(self, spoken: Spoken, request: Request, rest: str) -> None:
        """A response, its events, or `/input_items` of it."""
        keeping, query = _keeping(spoken), query_of(request)
        id, _, part = rest.partition("/")
        if part not in ("", _ITEMS):
            raise _unknown(part)
        owner = self._owner(request)
        stored = self._responses.find(keeping, owner, id)
        if part:
            body = keeping.input_items(stored, **_page(query))
        elif query.get("stream", "").lower() == "true":
            request.stream = True
            after = _number(query, "starting_after") if "starting_after" in query else -1
            await self._responses.send_events(keeping, owner, id, request, after)
            return
        else:
            body = stored.response
        request.reply.respond(body, {}, IN_JSON)

    async def delete(self, spoken: Spoken, call: Call) -> msgspec.Raw:
        keeping = _keeping(spoken)
        self._responses.delete(keeping, self._owner(call), call.rest)
        return msgspec.Raw(keeping.deleted(call.rest))

    async def cancel(self, spoken: Spoken, call: Call) -> msgspec.Raw:
        id, _, part = call.rest.partition("/")
        if part != _CANCEL:
            raise _unknown(part or id)
        return msgspec.Raw(self._responses.cancel(_keeping(spoken), self._owner(call), id))

    def _owner(self, call: Call | Request) -> Owner | None:
        return owner_of(call.caller, self.runtime.apps.identify(call.caller))


def _keeping(spoken: Spoken) -> Keeping:
    keeping = spoken.format.app.keeping
    assert keeping is not None, "`known.FORMATS` says that it keeps answers"
    return keeping


def _page(query: dict[str, str]) -> dict[str, Any]:
    """Which items. Raises InvalidRequestError."""
    given: dict[str, Any] = {name: query[name] for name in ("after", "order") if name in query}
    return {**given, "limit": _number(query, "limit") if "limit" in query else 20}


def _number(query: dict[str, str], name: str) -> int:
    """Raises InvalidRequestError."""
    text = query[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidRequestError(f"`{name}` has to be a number", param=name)
    return int(text)


def _unknown(part: str) -> NotFoundError:
    return NotFoundError(
        f"Responses have no {part[:80]!r} here; there are {_ITEMS} and {_CANCEL}.", code="unknown_path"
    )
