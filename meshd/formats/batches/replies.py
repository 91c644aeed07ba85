"""Short answers of a batch API, read as a whole.

Must never: hold more than a bounded part of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from meshd.formats.batches.protocol import Send
from meshd.formats.errors.response_failures import failure_from_response
from meshd.formats.headers import IN_JSON
from meshd.sdk.calls.passing import RawAnswer, RawBody
from meshd.sdk.provider import FailureKind, ProviderFailure
from meshd.sdk.reading.lenient import UNREADABLE

_MOST = 4 * 1024**2

T = TypeVar("T")


class Once:
    """A body that is sent only once: if the connection breaks, it is not sent again. length, size: see `RawBody`."""

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
    headers: Mapping[str, str] = IN_JSON,
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
    except UNREADABLE:
        raise _unreadable(path, answer) from None
    finally:
        answer.close()


def _unreadable(path: str, answer: RawAnswer) -> ProviderFailure:
    return ProviderFailure(FailureKind.BAD_ANSWER, f"{path} answered in an unknown form", status=answer.status)
