"""Reads a form with one file while it arrives.

Owns: the form's other fields. Must never: hold more of the file than the piece that has just arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshd.formats.multipart.forms import LONGEST_HEADER, MOST_HEADERS, boundary_of, filename_of, malformed, named
from meshd.host.plain_text import printable
from modelmesh.wording import short

_MOST_PARTS = 16
_LONGEST_TEXT = 4096  # bytes of a part that is not the file


class FormStream:
    """fields: those of the parts that have arrived completely. filename: that of the file; None before its part. Every
    method raises InvalidRequestError."""

    def __init__(self, content_type: str) -> None:
        # Loaded with the first form: most daemons never get one.
        from python_multipart.multipart import MultipartParser

        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._headers: dict[str, bytes] = {}
        self._header = self._value = b""  # of the header that is arriving
        self._parts = 0
        self._name: str | None = None  # of the part, None: it is the file
        self._text = bytearray()
        self._pieces: list[bytes] = []
        self._ended = False
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._head_ends,
            "on_part_data": self._content,
            "on_part_end": self._part_ends,
            "on_end": self._ends,
        }
        given: Any = callbacks
        self._parser = MultipartParser(
            boundary_of(content_type), given, max_header_count=MOST_HEADERS, max_header_size=LONGEST_HEADER
        )

    def feed(self, data: bytes) -> bytes:
        """Returns the file's bytes in this piece."""
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(data)
        except FormParserError as error:
            raise malformed(printable(str(error))) from None
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    def end(self) -> None:
        """Nothing more comes."""
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.finalize()
        except FormParserError as error:
            raise malformed(printable(str(error))) from None
        if not self._ended:
            raise malformed("it ends before its last boundary")
        if self.filename is None:
            raise malformed("it has no `file`")

    # -- python-multipart's ---------------------------------------------------------------------------

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise malformed(f"it has more than {_MOST_PARTS} parts")
        self._headers, self._header, self._value = {}, b"", b""
        self._text = bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        name = self._header.decode("latin-1").lower()
        if name in self._headers:
            raise malformed(f"a part has the header {short(name)} twice")
        if b"\n" in self._value or b"\0" in self._value:
            raise malformed(f"the header {short(name)} of a part has a line break in it")
        self._headers[name] = self._value
        self._header = self._value = b""

    def _head_ends(self) -> None:
        found = named(self._headers)
        if not found["file"]:
            self._name = found["name"].decode()
            if self._name in self.fields:
                raise malformed(f"it has {short(self._name)} twice")
            return
        if found["name"] != b"file" or self.filename is not None:
            raise malformed("it may have one file, in the field `file`")
        self._name, self.filename = None, filename_of(found)

    def _content(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            self._pieces.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _LONGEST_TEXT:
            raise malformed(f"{short(self._name)} has more than {_LONGEST_TEXT} bytes, and is not a file")

    def _part_ends(self) -> None:
        if self._name is not None:
            try:
                self.fields[self._name] = self._text.decode()
            except UnicodeDecodeError:
                raise malformed(f"{short(self._name)} is not UTF-8 text") from None

    def _ends(self) -> None:
        self._ended = True
