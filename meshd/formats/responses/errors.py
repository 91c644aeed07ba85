"""Errors inside a stream of the Responses API."""

from __future__ import annotations

from typing import Any

from meshd.sdk.reading import lenient
from modelmesh.error_shapes import responses_error
from modelmesh.errors import MeshError


def stream_error(error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
    """The event that reports an error. first, last: the first and last events that the app has got."""
    return [lenient.plain(responses_error(error, _map(first), _map(last)))]


def _map(data: bytes) -> dict[str, Any]:
    try:
        value = lenient.decode(data) if data else {}
    except lenient.NotJSON:
        return {}
    return value if isinstance(value, dict) else {}
