"""An answer that is a file: its bytes, as they arrive.

Owns: distinguishing a file from an error before its first byte is passed on, and a complete file from one that was cut
off.
Must never: hold more of the file than one piece, or look into it.
"""

from __future__ import annotations

import asyncio

from meshd.formats.body import Body
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, ErrorInside
from meshd.formats.openai import wire
from meshd.formats.protocol import Address, Opened
from meshd.formats.stream.stream_clock import Clock, Silence
from meshd.host import clock
from meshd.net.encodings import EncodingError
from meshd.net.failures import TransportError
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, StreamEvent
from meshd.sdk.reading import lenient

PIECE = 64 * 1024
"""Bytes of a piece, at most."""
_MOST_WORDS = 64 * 1024  # bytes of an error that comes in place of a file
_UNKNOWN = "application/octet-stream"
_FILES = ("audio/", "video/", "image/")
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+.-_;= ")


class PieceReader:
    """plain: no other kind of answer is accepted in its place."""

    plain: bytes | None = None

    def __init__(self, body: Body, call: ProviderCall, address: Address, opened: Opened) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._call = call
        self._address = address
        self._opened = opened
        self._clock = Clock(self._loop, body)
        self._content_type = _safe(opened.content_type)
        self._left: bytes = b""
        self._begun = False
        self.done = False

    async def more(self) -> list[StreamEvent]:
        """Raises ProviderFailure."""
        data = self._left or await self._read()
        if not self._begun:
            data = await self._checked(data)
        if not data:
            self.done = True
            return []
        piece, self._left = data[:PIECE], data[PIECE:]
        content_type = "" if self._begun else self._content_type
        limits = None if self._begun else self._opened.limits
        self._begun = True
        return [StreamEvent(piece, content=True, content_type=content_type, limits=limits)]

    def close(self) -> None:
        self._clock.stop()
        if self.done:
            self._body.linger(self._loop)
        else:
            self._body.abort()

    async def _checked(self, data: bytes) -> bytes:
        """The first bytes of a file. Raises ProviderFailure for anything else."""
        if not data:
            raise self._bad("answered with an empty body", b"")
        if self._content_type.startswith(_FILES):
            return data
        words = data[:1] in b"{[<" or not self._content_type.startswith(_UNKNOWN)
        if not words:
            return data
        said = bytearray(data)
        while len(said) <= _MOST_WORDS and (more := await self._read()):
            said += more
        body = bytes(said)
        document = _object(body)
        if document is not None:
            if error_answers.is_error(document):
                raise ErrorInside(lenient.plain(document)).failure()
            raise self._bad(f"answered {self._content_type} where a file was due", body)
        if self._content_type.startswith(_UNKNOWN) and body[:1] != b"<":
            return body
        raise Broken().failure(body, self._address.host, self._address.url)

    async def _read(self) -> bytes:
        call = self._call
        patience = call.idle_timeout if self._begun else call.first_token_timeout
        latest = self._opened.started + call.timeout
        self._clock.start(min(clock.now() + patience, latest))
        try:
            return await self._body.read_some()
        except Silence:
            raise self._silence(latest) from None
        except (TransportError, OSError, EncodingError) as error:
            failure = self._opened.failed(error)
            if self._begun:
                raise ProviderFailure(FailureKind.STREAM_CUT, failure.message) from None
            raise failure from None
        finally:
            self._clock.pause()

    def _silence(self, latest: float) -> ProviderFailure:
        where = self._address.host
        if clock.now() >= latest:
            message = f"{where} did not finish within {self._call.timeout:g} s"
        elif self._begun:
            message = f"{where} fell silent for {self._call.idle_timeout:g} s in its answer"
        else:
            message = f"no answer from {where} within {self._call.first_token_timeout:g} s"
        return ProviderFailure(FailureKind.STREAM_CUT if self._begun else FailureKind.TIMEOUT, message)

    def _bad(self, what: str, body: bytes) -> ProviderFailure:
        message = f"{self._address.host} {what}"
        return ProviderFailure(FailureKind.BAD_ANSWER, message, status=200, body=body[:4096])


def _object(body: bytes) -> dict[str, object] | None:
    try:
        return wire.document_of(body)[0]
    except Broken:
        return None


def _safe(content_type: str) -> str:
    """The app gets it as a header."""
    return content_type if content_type and len(content_type) <= 100 and _SAFE.issuperset(content_type) else _UNKNOWN
