"""Our errors as instances of the OpenAI SDK's classes, in a process that uses that package.

Owns: the classes that are both, created when an error is received, and cached.
Must never: import `openai`; a program that has not imported it cannot use its classes.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from modelmesh.errors import MeshError, restored

_BY_STATUS: Final = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}
"""As the SDK maps statuses (`_make_status_error` of its clients)."""
_made: dict[tuple[type[MeshError], type[Exception]], type[MeshError]] = {}


class _Kin:
    """The mixin for both: our constructor, our message, and the SDK's attributes."""

    def __str__(self) -> str:
        return str(self.message)  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("request", "response")}
        return _restored, (self.status_code, type(self).__name__, str(self), state)  # type: ignore[attr-defined]


def as_sdk_error(error: MeshError) -> MeshError:
    """The error, also as an instance of the SDK's class for it if `openai` is imported."""
    package = sys.modules.get("openai")
    if package is None or isinstance(error, _Kin):
        return error
    theirs = getattr(package, _name_for(error), None)
    if not isinstance(theirs, type) or isinstance(error, theirs):
        return error
    cls = _class_of(type(error), theirs)
    if cls is None:
        return error
    error.__class__ = cls
    request, response = _messages(error)
    error.__dict__["request"] = request
    if isinstance(error, getattr(package, "APIStatusError", ())):
        error.__dict__["response"] = response
    return error


def _name_for(error: MeshError) -> str:
    """The SDK's name for it: that of our class if the SDK has it too, else by the status."""
    own = {cls.__name__ for cls in type(error).__mro__}
    if cut := own & {"LengthFinishReasonError", "ContentFilterFinishReasonError"}:
        return cut.pop()
    if own & {"APIConnectionError", "APITimeoutError"} and not own & {"ProviderError"}:
        return "APITimeoutError" if "APITimeoutError" in own else "APIConnectionError"
    if "APIStatusError" not in own:
        return "APIError"
    if error.status_code in _BY_STATUS:
        return _BY_STATUS[error.status_code]
    return "InternalServerError" if error.status_code >= 500 else "APIStatusError"


def _class_of(ours: type[MeshError], theirs: type[Exception]) -> type[MeshError] | None:
    made = _made.get((ours, theirs))
    if made is None:
        members = {"__module__": ours.__module__, "__init__": ours.__init__}
        try:
            made = type(ours.__name__, (_Kin, ours, theirs), members)
        except TypeError:  # a class of another shape: ours alone is enough
            return None
        _made[ours, theirs] = made
    return made


def _messages(error: MeshError) -> tuple[Any, Any]:
    """The HTTP request and response for the SDK's errors, as objects of its own HTTP library."""
    base = sys.modules.get("openai._base_client")
    http = getattr(base, "httpx2", None) or getattr(base, "httpx", None)
    if http is None:
        return None, None
    request = http.Request("POST", "http://modelmesh/v1")
    headers = {"x-request-id": error.request_id or ""}
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    return request, http.Response(error.status_code, headers=headers, json={"error": error.body}, request=request)


def _restored(status: int, name: str, message: str, state: dict[str, Any]) -> MeshError:
    return as_sdk_error(restored(status, name, message, state))
