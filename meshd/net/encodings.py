"""The codings of an HTTP body (`Content-Encoding`), including aliases and chains, decoded only as far as the caller
reads.

Owns: the supported codings, and decoding piece by piece.
Must never: do I/O, or hold more than a piece of the decoded body. A megabyte may become gigabytes; the reader bounds
what it keeps.

Names are from IANA's registry of content codings, `x-` as in RFC 9110 (8.4.1). Some servers put other words into this
header (a charset, `none`), which mean no coding.
"""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from meshd.host.plain_text import one_line

_NAMES = {
    "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "x-deflate": "deflate", "zlib": "deflate",
    "br": "br", "brotli": "br", "x-br": "br", "zstd": "zstd", "x-zstd": "zstd", "zstandard": "zstd",
}  # fmt: skip
_NOTHING = frozenset({"", "identity", "none", "null", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "7bit",
                      "8bit", "binary", "text"})  # fmt: skip
MOST_CODINGS = 4  # in a chain: each may be a decompression bomb
_SHOWN = 40  # characters of a name in a message
PIECE = 64 * 1024
_WINDOW = 16 * 1024  # bytes of input per call, because the bytes after a member's end are copied
_ZSTD_WINDOW_LOG = 23  # 8 MB: more is not allowed in HTTP (RFC 9659)


class EncodingError(ValueError):
    """A body that cannot be read. The message continues a sentence with the body as its subject."""


class UnknownEncoding(EncodingError):
    """An unsupported coding."""


class BrokenEncoding(EncodingError):
    """The body is not in the coding that its header names, or ends too soon."""


class _Coding(Protocol):
    """One coding. `undo` takes more coded bytes, or b"", and returns about `limit` decoded bytes. needs_input: without
    more input, there is nothing more to return. whole: the coded bytes may end here."""

    @property
    def needs_input(self) -> bool: ...
    @property
    def whole(self) -> bool: ...
    def undo(self, data: bytes, limit: int) -> bytes: ...


def decoder(header: str) -> Decoder | None:
    """The decoder for a `Content-Encoding`; None if there is nothing to decode. Raises UnknownEncoding."""
    names = [name for part in header.split(",") if (name := part.strip().lower()) not in _NOTHING]
    if not names:
        return None
    if len(names) > MOST_CODINGS:
        raise UnknownEncoding(f"has {len(names)} content encodings, more than the {MOST_CODINGS} that are read")
    return Decoder([_coding(name) for name in reversed(names)])


def readable(header: str) -> str:
    """An `Accept-Encoding` with only supported codings; `identity` if none is left."""
    kept = [part.strip() for part in header.split(",") if _is_readable(part.partition(";")[0].strip().lower())]
    return ", ".join(kept) or "identity"


def _is_readable(name: str) -> bool:
    if name == "identity":
        return True
    try:
        _coding(name)
    except UnknownEncoding:
        return False
    return True


class Decoder:
    """`feed` it input, then `read` decoded bytes; `more` tells whether another read gives more. Raises
    BrokenEncoding."""

    def __init__(self, codings: list[_Coding]) -> None:
        self._stages = [_Stage(coding) for coding in codings]  # the one applied last comes first
        self._begun = False

    def feed(self, data: bytes) -> None:
        self._begun = self._begun or bool(data)
        self._stages[0].pending += data

    @property
    def more(self) -> bool:
        return any(stage.more for stage in self._stages)

    @property
    def held(self) -> int:
        """Bytes that wait to be decoded, in full or in part."""
        return sum(len(stage.pending) for stage in self._stages)

    def read(self, limit: int = PIECE) -> bytes:
        """About `limit` bytes at most, in bounded time; b"" may be followed by data while there is `more`."""
        for place in range(len(self._stages) - 1, -1, -1):  # the last stage that can continue
            stage = self._stages[place]
            if stage.more:
                piece = stage.step(limit)
                if place == len(self._stages) - 1:
                    return piece
                self._stages[place + 1].pending += piece
        return b""

    def finish(self) -> None:
        """Call it when the body has ended and all of it was read. Raises BrokenEncoding if the body is truncated."""
        if self._begun and not all(stage.coding.whole for stage in self._stages):
            raise BrokenEncoding("ends before its compressed data does")


class _Stage:
    __slots__ = ("coding", "pending")

    def __init__(self, coding: _Coding) -> None:
        self.coding = coding
        self.pending = bytearray()

    @property
    def more(self) -> bool:
        return bool(self.pending) or not self.coding.needs_input

    def step(self, limit: int) -> bytes:
        data = b""
        if self.coding.needs_input:
            data = bytes(self.pending[:_WINDOW])
            del self.pending[:_WINDOW]
        return self.coding.undo(data, limit)


class _Zlib:
    """gzip with one or several members; deflate, with zlib's header (the standard) or without it."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._wbits = 16 + zlib.MAX_WBITS if gzip else 0
        self._head = b""  # first bytes, until it is known whether deflate has a header
        self._inner: Any = zlib.decompressobj(self._wbits) if gzip else None
        self._rest = b""
        self._full = False
        self._ended = False
        self._started = False

    @property
    def needs_input(self) -> bool:
        return not (self._rest or self._full)

    @property
    def whole(self) -> bool:
        return not self._head and (self._ended or not self._started)

    def undo(self, data: bytes, limit: int) -> bytes:
        data = self._rest + data
        self._rest, self._full = b"", False
        if self._ended:
            data = self._next_member(data)
        if self._inner is None:
            data = self._head = self._head + data
            if len(data) < 2:
                return b""
            has_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._inner = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
            self._head = b""
        if not data and self._ended:
            return b""
        self._started = self._started or bool(data)
        try:
            piece: bytes = self._inner.decompress(data, limit)
        except zlib.error as error:
            name = "gzip" if self._gzip else "deflate"
            why = str(error).rpartition(": ")[2]
            raise BrokenEncoding(f"is not valid {name} ({why})") from None
        self._ended = self._inner.eof
        self._rest = self._inner.unused_data if self._ended else self._inner.unconsumed_tail
        self._full = len(piece) == limit and not self._ended
        return piece

    def _next_member(self, data: bytes) -> bytes:
        """What follows the end of a member: another gzip member; anything else is padding."""
        if not self._gzip or not data.lstrip(b"\0"):
            return b""
        data = data.lstrip(b"\0")
        if data[:1] != b"\x1f":
            return b""
        self._inner = zlib.decompressobj(self._wbits)
        self._ended = False
        return data


class _Brotli:
    def __init__(self, brotli: Any) -> None:
        self._inner = brotli.Decompressor()
        self._error = brotli.error
        self._started = False

    @property
    def needs_input(self) -> bool:
        return bool(self._inner.is_finished() or self._inner.can_accept_more_data())

    @property
    def whole(self) -> bool:
        return bool(self._inner.is_finished()) or not self._started

    def undo(self, data: bytes, limit: int) -> bytes:
        if self._inner.is_finished():
            return b""
        self._started = self._started or bool(data)
        try:
            return bytes(self._inner.process(data, output_buffer_limit=limit))
        except self._error:
            raise BrokenEncoding("is not valid brotli") from None


class _Zstd:
    def __init__(self, zstd: Any) -> None:
        options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._make: Callable[[], Any] = lambda: zstd.ZstdDecompressor(options=options)
        self._error = zstd.ZstdError
        self._inner = self._make()
        self._rest = b""
        self._started = False

    @property
    def needs_input(self) -> bool:
        return not self._rest and (self._inner.eof or self._inner.needs_input)

    @property
    def whole(self) -> bool:
        return bool(self._inner.eof) or not self._started

    def undo(self, data: bytes, limit: int) -> bytes:
        data, self._rest = self._rest + data, b""
        if self._inner.eof:
            if not data:
                return b""
            self._inner = self._make()  # another frame
        self._started = self._started or bool(data)
        try:
            piece = bytes(self._inner.decompress(data, limit))
        except self._error as error:
            raise BrokenEncoding(f"is not valid zstd ({error})") from None
        if self._inner.eof:
            self._rest = self._inner.unused_data
        return piece


def _coding(name: str) -> _Coding:
    known = _NAMES.get(name)
    if known in ("gzip", "deflate"):
        return _Zlib(gzip=known == "gzip")
    if known is None:
        raise UnknownEncoding(f"has the content encoding `{one_line(name[:_SHOWN])}`, which is not known here")
    try:
        return _Brotli(_brotli()) if known == "br" else _Zstd(zstd_module())
    except (ImportError, AttributeError):
        package = "Brotli" if known == "br" else "backports.zstd"
        what = f"has the content encoding `{known}`, for which the package {package} is missing"
        raise UnknownEncoding(what) from None


def _brotli() -> Any:
    import brotli

    if not hasattr(brotli.Decompressor, "can_accept_more_data"):
        raise ImportError("this one cannot be bounded")
    return brotli


def zstd_module() -> Any:
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
