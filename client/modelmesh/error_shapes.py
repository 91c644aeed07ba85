"""Errors as Anthropic's API writes them; `MeshError.to_wire` has OpenAI's form.

Claude Code recovers by their words, so a provider's own stay as they are.
"""

from __future__ import annotations

from typing import Any, Final

from modelmesh.errors import MeshError

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
