"""What apps ask about kept responses: to retrieve, delete or cancel one, and its input.

Owns: the paths below those that responses are asked for at, but for the count of an input (`token_counts.py`).
Must never: say of another app's response that it exists.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from meshd.formats.keeping import Keeping
from meshd.formats.known import FORMATS
from meshd.gateway.access.owner import Owner, owner_of
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
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
                table.add("GET", f"{path}/", partial(self.get, spoken), format=spoken.format_name)
                table.add("DELETE", f"{path}/", partial(self.delete, spoken), format=spoken.format_name)
                table.add("POST", f"{path}/", partial(self.cancel, spoken), format=spoken.format_name)

    async def get(self, spoken: Spoken, call: Call) -> msgspec.Raw:
        """A response, or `/input_items` of one."""
        keeping = _keeping(spoken)
        id, _, part = call.rest.partition("/")
        if part not in ("", _ITEMS):
            raise _unknown(part)
        stored = self._responses.find(keeping, self._owner(call), id)
        if part:
            return msgspec.Raw(keeping.input_items(stored, **_page(call)))
        if call.query.get("stream", "").lower() == "true":
            raise InvalidRequestError(
                "Events of a response are sent only once; retrieve it without `stream`.",
                param="stream",
                code="unsupported_parameter",
            )
        return msgspec.Raw(stored.response)

    async def delete(self, spoken: Spoken, call: Call) -> msgspec.Raw:
        keeping = _keeping(spoken)
        self._responses.delete(keeping, self._owner(call), call.rest)
        return msgspec.Raw(keeping.deleted(call.rest))

    async def cancel(self, spoken: Spoken, call: Call) -> msgspec.Raw:
        id, _, part = call.rest.partition("/")
        if part != _CANCEL:
            raise _unknown(part or id)
        return msgspec.Raw(self._responses.cancel(_keeping(spoken), self._owner(call), id))

    def _owner(self, call: Call) -> Owner | None:
        return owner_of(call.caller, self.runtime.apps.identify(call.caller))


def _keeping(spoken: Spoken) -> Keeping:
    keeping = spoken.format.app.keeping
    assert keeping is not None, "`known.FORMATS` says that it keeps answers"
    return keeping


def _page(call: Call) -> dict[str, Any]:
    """Which items. Raises InvalidRequestError."""
    given: dict[str, Any] = {name: call.query[name] for name in ("after", "order") if name in call.query}
    limit = call.query.get("limit", "20")
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 10):
        raise InvalidRequestError("`limit` has to be a number", param="limit")
    return {**given, "limit": int(limit)}


def _unknown(part: str) -> NotFoundError:
    return NotFoundError(
        f"Responses have no {part[:80]!r} here; there are {_ITEMS} and {_CANCEL}.", code="unknown_path"
    )
