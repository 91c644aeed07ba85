"""What parsing a document asks for, and the form of its answer, which is the same for all services.

Owns: the fields of the operation `documents.parse`. Must never: know a service.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from meshd.services.seam import Asked, File, Result, cannot, wrong


class Parse(msgspec.Struct, frozen=True):
    """languages: of the document, as the service names them. output: None: what the service does best. elements: the
    answer lists the parts of each page too. instructions: to a service that has a language model read the pages."""

    languages: str | list[str] = []
    output: Literal["markdown", "text"] | None = None
    elements: bool = False
    instructions: str | None = None

    @property
    def listed_languages(self) -> list[str]:
        given = self.languages.split(",") if isinstance(self.languages, str) else self.languages
        return [each.strip() for each in given if each.strip()]


class Page(msgspec.Struct, frozen=True):
    number: int
    text: str


def read(asked: Asked, *, lacks: Iterable[str] = ()) -> tuple[Parse, File]:
    """lacks: fields that the service cannot express. Raises ProviderFailure."""
    files = [file for file in asked.files if file.field == "file"]
    if len(files) != 1:
        raise wrong("file", "one file is needed")
    parse = asked.read(Parse)
    for name in lacks:
        if getattr(parse, name) not in (None, False, []):
            raise cannot(name)
    return parse, files[0]


def result(
    format: str, pages: Sequence[Page], billed: int | None, elements: Sequence[Mapping[str, Any]] | None = None
) -> Result:
    """format: `markdown` or `text`. billed: pages; None: as many as were reserved."""
    document: dict[str, Any] = {
        "object": "document",
        "format": format,
        "text": "\n\n".join(page.text for page in pages),
        "pages": [{"number": page.number, "text": page.text} for page in pages],
    }
    if elements is not None:
        document["elements"] = elements
    if billed is None:
        return Result(document)
    return Result({**document, "usage": {"pages": billed}}, units={"pages": billed})


def form(field: str, file: File, texts: Iterable[tuple[str, str]]) -> tuple[str, bytes]:
    """(content type, body) of a form with a file and texts, which are ours."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes | memoryview] = []
    for name, value in texts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        pieces += [head.encode(), value.encode(errors="replace"), b"\r\n"]
    name = "".join("_" if sign in '"\\' or not sign.isprintable() else sign for sign in file.filename) or "document"
    kind = file.content_type if _is_plain(file.content_type) else "application/octet-stream"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    pieces += [f"{head}Content-Type: {kind}\r\n\r\n".encode(errors="replace"), file.content]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _is_plain(content_type: str) -> bool:
    return bool(content_type) and content_type.isascii() and content_type.isprintable()
