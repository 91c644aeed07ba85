"""Errors as Google's APIs write them (`google.rpc.Status`), as bytes that are always UTF-8.

https://cloud.google.com/apis/design/errors, https://ai.google.dev/gemini-api/docs/troubleshooting, 2026-11-28
"""

from __future__ import annotations

import math
from typing import Any

from meshd.sdk.reading import lenient
from modelmesh.errors import MeshError

_STATUSES = {
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
_TYPES = "type.googleapis.com/google.rpc."


def error_body(error: MeshError) -> bytes:
    """The mesh's own code is the reason of an `ErrorInfo`."""
    status, code = error.status_code, error.code
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": _TYPES + "ErrorInfo", "reason": str(code).upper(), "domain": "modelmesh"})
    if error.param:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": _TYPES + "BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": _TYPES + "RetryInfo", "retryDelay": f"{math.ceil(error.retry_after)}s"})
    said: dict[str, Any] = {"code": status, "message": error.message, "status": _status(status)}
    return lenient.plain({"error": {**said, "details": details} if details else said})


def _status(status: int) -> str:
    return _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
