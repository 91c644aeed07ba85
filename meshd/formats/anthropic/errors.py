"""Errors as Anthropic's API writes them, as bytes that are always UTF-8."""

from __future__ import annotations

from meshd.sdk.reading import lenient
from modelmesh.error_shapes import anthropic_error
from modelmesh.errors import MeshError


def error_body(error: MeshError) -> bytes:
    return lenient.plain(anthropic_error(error))
