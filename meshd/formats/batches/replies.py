"""Short answers of an API for batches, read whole.

Must never: hold more than a bounded part of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec

from meshd.formats.batches.protocol import Send
from meshd.formats.errors.response_failures import failure_from_response
from meshd.sdk.calls.passing import RawAnswer, RawBody
from meshd.sdk.provider import FailureKind, ProviderFailure

_MOST = 4 * 1024**2
_JSON: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

T = TypeVar("T")


class Once:
    """A body that is sent once: a connection that breaks is not tried again. length, size: see `RawBody`."""

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self.size = 0
        self._data = data

    async def read(self) -> bytes:
        data, self._data = self._data, b""
        self.size += len(data)
        return data


async def ask(
    send: Send,
    kind: type[T],
    method: str,
    path: str,
    *,
    query: str = "",
    body: bytes | RawBody = b"",
    headers: Mapping[str, str] = _JSON,
    branch: str = "",
) -> T:
    """The answer as a record. headers: of the request. Raises ProviderFailure."""
    answer = await send(method, path, query=query, body=body, headers=headers, branch=branch)
    try:
        if answer.status >= 400:
            told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
            raise failure_from_response(answer.status, await answer.failure(), told, path)
        said = bytearray()
        while data := await answer.more():
            said += data
            if len(said) > _MOST:
                raise _unreadable(path, answer)
        return msgspec.json.decode(bytes(said), type=kind)
    except _UNREADABLE:
        raise _unreadable(path, answer) from None
    finally:
        answer.close()


def _unreadable(path: str, answer: RawAnswer) -> ProviderFailure:
    return ProviderFailure(FailureKind.BAD_ANSWER, f"{path} answered in an unknown form", status=answer.status)
