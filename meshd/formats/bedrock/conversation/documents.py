"""Files as documents: their format, and a name of the few characters that are allowed.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html, 2026-11-28
"""

from __future__ import annotations

import re
from typing import Any

from meshd.formats.bedrock.conversation.refused import refused
from meshd.formats.conversation.parts import Source

_PDF_BEGINS = "JVBERi"  # "%PDF-" as base64
_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_NAMES = {name: name for name in _FORMATS.values()} | {"htm": "html", "markdown": "md", "text": "txt"}
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9\s()\[\]-]+")
_SPACES = re.compile(r"\s+")
_LONGEST = 190  # characters: the limit is 200, and a number may follow
_S3 = "s3://"


class Names:
    """The names of a request's documents: no two may be the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, file: str) -> str:
        """file: its name, with an ending; it may be empty."""
        stem = file.rpartition(".")[0] or file
        name = _SPACES.sub(" ", _NOT_OF_A_NAME.sub(" ", stem)).strip()[:_LONGEST] or "document"
        made, number = name, 1
        while made in self._taken:
            number += 1
            made = f"{name} {number}"
        self._taken.add(made)
        return made


def document_block(source: Source, names: Names) -> dict[str, Any]:
    """Raises InvalidRequestError."""
    kind = _kind(source)
    if not kind or not (source.data or source.url.startswith(_S3)):
        raise refused(_what(source), "messages")
    where = {"bytes": source.data} if source.data else {"s3Location": {"uri": source.url}}
    return {"format": kind, "name": names.of(source.name), "source": where}


def _kind(source: Source) -> str:
    """By its type, its name, or its first bytes; "" if it is not known."""
    known = _FORMATS.get(source.media_type.partition(";")[0].strip().lower())
    if known is None:
        known = _NAMES.get((source.name or source.url).rpartition(".")[2].lower(), "")
    if not known and source.data.startswith(_PDF_BEGINS):
        known = "pdf"
    if not known and source.media_type.startswith("text/"):
        known = "txt"
    return known


def _what(source: Source) -> str:
    if not source.data:
        return "a document by its address or id, apart from `s3://…`; send its bytes"
    return f"a document of the type {source.media_type or 'unknown'}"
