"""Parsing of documents: the text of a file, by pages and elements."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading.lenient import UNREADABLE

FEWEST_BYTES = 1000
"""Bytes of a page, if the file does not say how many pages it has: two thousand letters, compressed."""


def pages(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """An upper bound: as the reader of forms counted them, or estimated from the file's bytes."""
    try:
        file = msgspec.json.decode(fields.get("file", msgspec.Raw(b"null")))
    except UNREADABLE:
        file = None
    files = file if isinstance(file, list) else [file]
    return {"pages": sum(_pages(each) for each in files)}


def _pages(file: object) -> int:
    if not isinstance(file, dict):
        return 1
    known, size = file.get("pages"), file.get("bytes")
    if isinstance(known, int) and known > 0:
        return known
    return max(-(-size // FEWEST_BYTES), 1) if isinstance(size, int) else 1


DOCUMENT_PARSE = OperationSpec(
    name="documents.parse",
    word="parse",
    paths={"openai": "/v1/documents/parse"},
    capabilities=("understanding.document-understanding", "understanding.vision-understanding.ocr"),
    text=("instructions",),
    free=("file", "languages", "output", "elements"),
    default="document-parsing",
    method="documents.parse",
    json=False,
    form=True,
    rows=("", "text"),
    tokens=False,
    units=pages,
    output=False,
    cached=False,
    streamed=False,
    continued=False,
)
