"""Errors as Anthropic's, Google's and OpenAI's Responses API write them; `MeshError.to_wire` has OpenAI's usual form.

Claude Code decides from their wording how to recover, so a provider's own wording stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from modelmesh.errors import InvalidRequestError, MeshError, RateLimitError

_INVALID: Final = "invalid_request_error"
_TYPES: Final = {
    400: _INVALID,
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",  # no model can answer now
    504: "timeout_error",
    529: "overloaded_error",
}
_TELLING: Final = frozenset(_TYPES.values()) - {_INVALID}


def anthropic_error(error: MeshError) -> dict[str, Any]:
    """The type is the provider's, if it is one of this API's and more specific than that the request is wrong; else
    it follows from the status."""
    status = error.status_code
    if error.type in _TELLING:
        kind = error.type
    else:
        kind = _TYPES.get(status) or (_INVALID if 400 <= status < 500 else "api_error")
    made: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": error.message}}
    if error.request_id:
        made["request_id"] = error.request_id
    return made


_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_GOOGLES: Final = "type.googleapis.com/google.rpc."


def google_error(error: MeshError) -> dict[str, Any]:
    """`google.rpc.Status`, with the mesh's own code as the reason of an `ErrorInfo`.

    https://cloud.google.com/apis/design/errors, https://ai.google.dev/gemini-api/docs/troubleshooting, 2026-11-28
    """
    status, code = error.status_code, error.code
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": _GOOGLES + "ErrorInfo", "reason": str(code).upper(), "domain": "modelmesh"})
    if error.param:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": _GOOGLES + "BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": _GOOGLES + "RetryInfo", "retryDelay": f"{math.ceil(error.retry_after)}s"})
    name = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    said: dict[str, Any] = {"code": status, "message": error.message, "status": name}
    return {"error": {**said, "details": details} if details else said}


_CODES: Final = frozenset(
    {"server_error", "rate_limit_exceeded", "invalid_prompt", "context_length_exceeded", "insufficient_quota"}
)
"""The first three are from the description of the Responses API; Codex knows the others."""


def failed_response(response: Mapping[str, Any], error: MeshError) -> dict[str, Any]:
    """The response, failed."""
    if error.code in _CODES:
        code = error.code
    elif isinstance(error, RateLimitError):
        code = "rate_limit_exceeded"
    else:
        code = "invalid_prompt" if isinstance(error, InvalidRequestError) else "server_error"
    return {**response, "status": "failed", "error": {"code": code, "message": error.message}}


def responses_error(error: MeshError, first: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """The event that reports an error inside a stream of the Responses API. first, last: the first and the last event
    that the app has received. A response that has begun is reported as failed. If none has begun, or if it continues
    in the background, only the error is reported."""
    sequence, response = (last or first).get("sequence_number"), first.get("response")
    number = sequence + 1 if type(sequence) is int else 0
    if isinstance(response, dict) and response.get("background") is not True:
        return {"type": "response.failed", "sequence_number": number, "response": failed_response(response, error)}
    told = {"code": error.code, "message": error.message, "param": error.param}
    return {"type": "error", "sequence_number": number, **told}
