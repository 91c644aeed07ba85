"""Reads the forms (`multipart/form-data`) that apps send files in, within bounds.

Owns: what a form may look like. It is read strictly: if servers might read it in different ways, a provider could see
another `model` than the one that was checked, so such a form is refused.
Must never: copy a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.host.plain_text import printable
from meshd.sdk.calls.form import Form, Part
from meshd.sdk.reading.documents.pages import pages_of
from modelmesh.errors import InvalidRequestError
from modelmesh.wording import short

MOST_PARTS = 256
MOST_HEADERS = 8
"""Of a part."""
LONGEST_HEADER = 4096
"""Bytes."""
LONGEST_TEXT = 1024 * 1024
"""Bytes of a part that is not a file."""

_BOUNDARY = re.compile(
    r"multipart/form-data\s*(?:;\s*charset=[\w-]+\s*)?;\s*boundary=(?:\"([^\"]{1,70})\"|([^\s\";,]{1,70}))\s*(?:;\s*charset=[\w-]+\s*)?",
    re.IGNORECASE,
)
_BOUNDARY_SIGNS = re.compile(rb"[0-9A-Za-z'()+_,\-./:=?* ]*[0-9A-Za-z'()+_,\-./:=?*]")
_DISPOSITION = re.compile(
    rb'form-data\s*;\s*name=(?P<quote>"?)(?P<name>[A-Za-z0-9_.\-]{1,64}(?:\[[A-Za-z0-9_\-]{1,64}\]){0,4})(?P<list>\[\])?(?P=quote)'
    rb'(?P<file>(?:\s*;\s*filename=(?:"(?P<filename>(?:[^"\\]|\\.){0,1024})"|(?P<bare>[^\s";]{1,255})))?'
    rb'(?:\s*;\s*filename\*=(?P<other>[^\s;"]{1,1024}))?)\s*',
    re.IGNORECASE,
)
_FLAGS = frozenset({"stream"})
_NUMBERS = frozenset({"n", "partial_images"})
_ON, _OFF = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off", ""})
_WHOLE = re.compile(r"\s*-?\d{1,9}\s*")


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def read_form(body: bytes, content_type: str) -> Form:
    """Raises InvalidRequestError."""
    boundary = boundary_of(content_type)
    parts = _Reader(body, boundary).parts()
    fields: dict[str, list[bytes]] = {}
    lists = {each.name for each in parts if each.listed}
    for each in parts:
        fields.setdefault(each.name, []).append(_as_json(each))
    return Form(
        boundary,
        tuple(Part(each.name, each.head, each.content) for each in parts),
        {
            name: values[0] if len(values) == 1 and name not in lists else b"[%b]" % b",".join(values)
            for name, values in fields.items()
        },
    )


@dataclass(slots=True)
class _Found:
    name: str = ""
    listed: bool = False
    filename: str | None = None  # None: it is not a file
    content_type: str = ""
    head: memoryview = field(default_factory=lambda: memoryview(b""))
    content: memoryview = field(default_factory=lambda: memoryview(b""))


class _Reader:
    """The parts of one form. `python-multipart` calls its methods."""

    def __init__(self, body: bytes, boundary: bytes) -> None:
        self._body = body
        self._view = memoryview(body)
        self._boundary = boundary
        self._found: list[_Found] = []
        self._headers: dict[str, bytes] = {}
        self._name = b""
        self._begin = self._end = 0  # of the current part's head
        self._ended = False

    def parts(self) -> list[_Found]:
        # Loaded with the first form: most daemons never get one.
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_headers_finished": self._head_ends,
            "on_part_data": self._content,
            "on_end": self._ends,
        }
        given: Any = callbacks
        try:
            parser = MultipartParser(
                self._boundary, given, max_header_count=MOST_HEADERS, max_header_size=LONGEST_HEADER
            )
            parser.write(self._body)
            parser.finalize()
        except FormParserError as error:
            raise malformed(printable(str(error))) from None
        if not self._ended:
            raise malformed("it ends before its last boundary")
        return self._found

    def _part_begins(self) -> None:
        if len(self._found) >= MOST_PARTS:
            raise malformed(f"it has more than {MOST_PARTS} parts")
        self._found.append(_Found())
        self._headers = {}
        self._begin = self._end = 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._begin = self._begin or start
        self._name = data[start:end].lower()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        name, self._end = self._name.decode("ascii", "replace"), end
        if name in self._headers:
            raise malformed(f"a part has the header {short(name)} twice")
        if b"\n" in data[start:end] or b"\0" in data[start:end]:
            raise malformed(f"the header {short(name)} of a part has a line break in it")
        self._headers[name] = data[start:end]

    def _head_ends(self) -> None:
        part = self._found[-1]
        disposition = named(self._headers)
        part.name, part.listed = disposition["name"].decode(), disposition["list"] is not None
        if disposition["file"]:
            part.filename = filename_of(disposition)
        part.content_type = self._headers.get("content-type", b"").decode("latin-1")
        part.head = self._view[self._begin : self._end]

    def _content(self, data: bytes, start: int, end: int) -> None:
        part = self._found[-1]
        if part.filename is None and end - start > LONGEST_TEXT:
            raise malformed(f"{part.name} has more than {LONGEST_TEXT} bytes, and is not a file")
        part.content = self._view[start:end]

    def _ends(self) -> None:
        self._ended = True


def named(headers: Mapping[str, bytes]) -> re.Match[bytes]:
    """What the headers of a part say about it: its `name`, and whether it is a `list` or a `file`. Raises
    InvalidRequestError."""
    disposition = _DISPOSITION.fullmatch(headers.get("content-disposition", b""))
    if disposition is None:
        raise malformed('each part needs one header like: content-disposition: form-data; name="model"')
    coding = headers.get("content-transfer-encoding", b"binary").strip().lower()
    if coding not in (b"binary", b"8bit", b"7bit"):
        raise malformed("a part is encoded; send its bytes as they are")
    return disposition


def filename_of(disposition: re.Match[bytes]) -> str:
    names = (disposition["filename"], disposition["bare"], disposition["other"])
    return next((name for name in names if name), b"").decode(errors="replace")


def boundary_of(content_type: str) -> bytes:
    """Raises InvalidRequestError."""
    found = _BOUNDARY.fullmatch(content_type.strip())
    boundary = (found[1] or found[2]).encode("latin-1", "replace") if found is not None else b""
    if _BOUNDARY_SIGNS.fullmatch(boundary) is None:
        raise malformed("its content type names no valid boundary")
    return boundary


def _as_json(part: _Found) -> bytes:
    if part.filename is not None:
        return msgspec.json.encode(_description(part))
    try:
        text = bytes(part.content).decode()
    except UnicodeDecodeError:
        raise malformed(f"{part.name} is not UTF-8 text") from None
    if part.name in _FLAGS and (flag := text.strip().lower()) in _ON | _OFF:
        return b"true" if flag in _ON else b"false"
    if part.name in _NUMBERS and _WHOLE.fullmatch(text):
        return b"%d" % int(text)
    return msgspec.json.encode(text)


def _description(part: _Found) -> dict[str, object]:
    from meshd.sdk.reading.audio.length import seconds_of  # large tables

    told: dict[str, object] = {
        "filename": printable(part.filename or ""),
        "content_type": printable(part.content_type),
        "bytes": len(part.content),
    }
    for name, count in (("seconds", seconds_of(part.content)), ("pages", pages_of(part.content))):
        if count is not None:
            told[name] = count
    return told


def malformed(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The form cannot be read: {why}.", code="malformed_form")
