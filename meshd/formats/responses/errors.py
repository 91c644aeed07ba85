"""Errors as the Responses API reports them: as the body of an answer, and inside a stream."""

from __future__ import annotations

from typing import Any

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


def error_event(error: MeshError, sequence: int) -> dict[str, Any]:
    made = {"code": error.code, "message": error.message, "param": error.param}
    return {"type": "error", "sequence_number": sequence, **made}
