"""Errors as the Responses API reports them: as the body of an answer, and inside a stream."""

from __future__ import annotations

from typing import Any

from meshd.formats.responses.wire import FAILED
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError, MeshError, RateLimitError

_CODES = frozenset(
    {"server_error", "rate_limit_exceeded", "invalid_prompt", "context_length_exceeded", "insufficient_quota"}
)
"""The first three are of the API's description; Codex knows the others."""


def failed_response(response: dict[str, Any], error: MeshError) -> dict[str, Any]:
    """The response, failed."""
    if error.code in _CODES:
        code = error.code
    elif isinstance(error, RateLimitError):
        code = "rate_limit_exceeded"
    else:
        code = "invalid_prompt" if isinstance(error, InvalidRequestError) else "server_error"
    return {**response, "status": "failed", "error": {"code": code, "message": error.message}}


def stream_error(error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
    """The event that reports an error inside a stream. first, last: the first and last events that the app has got. The
    response that has begun has failed; if none has, only the error is sent."""
    sequence = _map(last or first).get("sequence_number")
    number = sequence + 1 if type(sequence) is int else 0
    response = _map(first).get("response")
    if isinstance(response, dict):
        event = {"type": FAILED, "sequence_number": number, "response": failed_response(response, error)}
    else:
        told = {"code": error.code, "message": error.message, "param": error.param}
        event = {"type": "error", "sequence_number": number, **told}
    return [lenient.plain(event)]


def _map(data: bytes) -> dict[str, Any]:
    try:
        value = lenient.decode(data) if data else {}
    except lenient.NotJSON:
        return {}
    return value if isinstance(value, dict) else {}
