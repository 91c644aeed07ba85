"""Errors as Google's APIs write them, as bytes that are always UTF-8."""

from __future__ import annotations

from meshd.sdk.reading import lenient
from modelmesh.error_shapes import google_error
from modelmesh.errors import MeshError


def error_body(error: MeshError) -> bytes:
    return lenient.plain(google_error(error))
