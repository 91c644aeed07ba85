"""Errors as Anthropic's API writes them. Claude Code recovers by their words, so a provider's own stay as they are."""

from __future__ import annotations

from typing import Any

from meshd.sdk.reading import lenient
from modelmesh.errors import MeshError

_INVALID = "invalid_request_error"
_TYPES = {
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
_TELLING = frozenset(_TYPES.values()) - {_INVALID}


def error_object(error: MeshError) -> dict[str, Any]:
    """The type is the provider's, if it is one of this API's and says more than that the request is wrong; else that
    of the status."""
    status = error.status_code
    if error.type in _TELLING:
        kind = error.type
    else:
        kind = _TYPES.get(status) or (_INVALID if 400 <= status < 500 else "api_error")
    made: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": error.message}}
    if error.request_id:
        made["request_id"] = error.request_id
    return made


def error_body(error: MeshError) -> bytes:
    return lenient.plain(error_object(error))
