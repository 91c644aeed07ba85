"""Every error of the mesh: raised by the client and sent by the daemon, one class for both.

Owns: the tree, and its form on the wire (the OpenAI error object plus a `mesh` map).
Must never: import the daemon.

The OpenAI SDK's names are classes of the same tree, so that an `except` written for that package catches the same:
APIStatusError an answer with an HTTP status, APIConnectionError no answer (APITimeoutError below it),
InternalServerError a status of 500 and above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class MeshError(Exception):
    """The base class. `extra` holds what a class adds (a budget's limit, a pool's reasons, …).

    status_code: the corresponding HTTP status. code: the machine-readable name (OpenAI's if there is one). retryable:
    the same call may succeed later. retry_after: seconds until it may. attempts: in order, each a map with model,
    provider, status, reason and duration (s).
    """

    status_code: ClassVar[int] = 500
    code: ClassVar[str] = "mesh_error"
    type: ClassVar[str] = "mesh_error"
    retryable_by_default: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        attempts: Sequence[dict[str, Any]] = (),
        request_id: str | None = None,
        body: Any = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        cls = self.__class__
        self.message = message
        self.status_code = status_code or cls.status_code  # type: ignore[misc]
        self.code = code or cls.code  # type: ignore[misc]
        self.type = type or cls.type  # type: ignore[misc]
        self.param = param
        self.retryable = cls.retryable_by_default if retryable is None else retryable
        self.retry_after = retry_after
        self.attempts = list(attempts)
        self.request_id = request_id
        self.body = body
        self.extra = extra

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["extra"][name]
        except KeyError:
            if name == "response" and isinstance(self, APIStatusError):  # as in the OpenAI SDK's errors
                from modelmesh._http_view import of_error

                return of_error(self)
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}") from None

    def to_wire(self) -> tuple[int, dict[str, Any], dict[str, Any]]:
        """(status, the OpenAI error object, the mesh map) as an ERROR head carries them."""
        error = {"message": self.message, "type": self.type, "code": self.code, "param": self.param}
        mesh: dict[str, Any] = {"class": type(self).__name__, "retryable": self.retryable}
        if self.attempts:
            mesh["attempts"] = self.attempts
        if self.retry_after is not None:
            mesh["retry_after"] = self.retry_after
        if self.extra:
            mesh["extra"] = self.extra
        return self.status_code, error, mesh


class APIStatusError(MeshError):
    """The daemon, or the provider behind it, answered with an error status."""


class APIConnectionError(MeshError):
    """There was no answer, or only part of it."""


class APITimeoutError(APIConnectionError):
    """There was no answer in time."""

    status_code = 504
    code = "timeout"


class InternalServerError(APIStatusError):
    """A status of 500 or above."""


class RoutingError(InternalServerError):
    """The mesh could not find an answer."""

    status_code = 503
    code = "routing_error"


class NoActiveModelError(RoutingError):
    """No model of the pool can be asked now. extra: pool, reasons (model → why), recovers_in (s or None)."""

    code = "no_active_model"
    retryable_by_default = True


class AllProvidersExhaustedError(RoutingError):
    """Every attempt failed; see `.attempts`."""

    code = "all_providers_exhausted"
    retryable_by_default = True


class ProviderError(APIStatusError):
    """The provider answered with an error, and no other model could answer."""

    status_code = 502
    code = "provider_error"


class AuthenticationError(ProviderError):
    """The provider refused the key."""

    status_code = 401
    code = "invalid_api_key"


class PermissionDeniedError(ProviderError):
    """The provider's key does not allow this."""

    status_code = 403
    code = "permission_denied"


class RateLimitError(ProviderError):
    """The provider's rate limit is reached; see `.retry_after`."""

    status_code = 429
    code = "rate_limit_exceeded"
    retryable_by_default = True


class ProviderTimeoutError(ProviderError, APITimeoutError):
    """The provider did not answer in time."""

    status_code = 504
    code = "timeout"
    retryable_by_default = True


class ProviderConnectionError(ProviderError, APIConnectionError):
    """The provider could not be reached."""

    code = "provider_connection"
    retryable_by_default = True


class InvalidRequestError(APIStatusError):
    """The request is wrong; `.param` names the field."""

    status_code = 400
    code = "invalid_request"
    type = "invalid_request_error"


class NotFoundError(InvalidRequestError):
    """There is no pool, model or path of that name."""

    status_code = 404
    code = "not_found"


class ConflictError(InvalidRequestError):
    """The request conflicts with the current state."""

    status_code = 409
    code = "conflict"


class UnprocessableEntityError(InvalidRequestError):
    """The request can be read, but the provider finds it invalid."""

    status_code = 422
    code = "unprocessable_entity"


class BudgetExceededError(APIStatusError):
    """A budget has too little left for what the request may cost.

    extra: scope, limit_type, limit, spent, reserved (USD), resets_at (RFC 3339).
    """

    status_code = 402
    code = "budget_exceeded"


class AccessDeniedError(APIStatusError):
    """The app may not use this. extra: app (the caller, as the kernel identifies it), allowed."""

    status_code = 403
    code = "access_denied"


class QueueFullError(APIStatusError):
    """No model had room in time, or too many requests were waiting already."""

    status_code = 429
    code = "queue_full"
    retryable_by_default = True


class ConfigurationError(MeshError):
    """The configuration is invalid. extra: problems, a list of maps with path, file, line, message, suggestion."""

    status_code = 400
    code = "configuration_error"


class DaemonUnavailableError(APIConnectionError):
    """No daemon answers. extra: paths (those tried)."""

    status_code = 503
    code = "daemon_unavailable"
    retryable_by_default = True


class ProtocolError(MeshError):
    """A message does not follow the socket's protocol."""

    status_code = 400
    code = "protocol_error"


class RequestTimeoutError(APITimeoutError):
    """The request's deadline passed."""

    status_code = 504
    code = "timeout"
    retryable_by_default = True


class RequestCancelledError(MeshError):
    """The app cancelled the request, or closed its client."""

    status_code = 499
    code = "cancelled"


class StreamInterrupted(APIConnectionError):
    """A stream broke after content had been delivered. extra: text (all that was received)."""

    status_code = 502
    code = "stream_interrupted"
    retryable_by_default = True


OpenAIError = APIError = MeshError
BadRequestError = InvalidRequestError

BY_NAME: dict[str, type[MeshError]] = {}


def _collect(cls: type[MeshError]) -> None:
    BY_NAME[cls.__name__] = cls
    for child in cls.__subclasses__():
        _collect(child)


_collect(MeshError)

_BY_STATUS: dict[int, type[MeshError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: BudgetExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    499: RequestCancelledError,
    503: NoActiveModelError,
    504: ProviderTimeoutError,
}


_OWN_FIELDS = frozenset(
    {"self", "message", "status_code", "code", "type", "param", "retryable", "retry_after", "attempts"}
    | {"request_id", "body"}
)


class _Received(MeshError):
    """Raised by a client for a class whose OpenAI name is elsewhere in the tree: an `except` for either catches it.

    Named like the class it stands for. It is not in the tree itself: for the daemon, a full queue is not a provider's
    failure, but an app that backs off on the SDK's RateLimitError has to do so here as well.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self.status_code, type(self).__name__, self.message, self.__dict__)


_RECEIVED: dict[type[MeshError], type[MeshError]] = {
    QueueFullError: type("QueueFullError", (_Received, QueueFullError, RateLimitError), {}),
    AccessDeniedError: type("AccessDeniedError", (_Received, AccessDeniedError, PermissionDeniedError), {}),
}
_ProviderFailed: type[MeshError] = type("ProviderError", (_Received, ProviderError, InternalServerError), {})


def _class_for(status: int, name: str) -> type[MeshError]:
    cls = BY_NAME.get(name) or _BY_STATUS.get(status, ProviderError if status >= 500 else APIStatusError)
    by_status = _BY_STATUS.get(status, cls)
    if cls is InvalidRequestError and issubclass(by_status, cls):
        cls = by_status
    if cls is ProviderError and status >= 500:
        return _ProviderFailed
    return _RECEIVED.get(cls, cls)


def restored(status: int, name: str, message: str, state: dict[str, Any]) -> MeshError:
    error = _class_for(status, name)(message)
    error.__dict__.update(state)
    return error


def from_wire(status: int, error: dict[str, Any], mesh: dict[str, Any], request_id: str | None = None) -> MeshError:
    """The error that an ERROR head describes, of the class that it names, else by the status."""
    cls = _class_for(status, mesh.get("class", ""))
    extra = mesh.get("extra", {})
    return cls(
        str(error.get("message") or "the mesh gave no message"),
        status_code=status,
        code=error.get("code"),
        type=error.get("type"),
        param=error.get("param"),
        retryable=mesh.get("retryable"),
        retry_after=mesh.get("retry_after"),
        attempts=mesh.get("attempts", ()),
        request_id=request_id,
        body=error,
        **{key: value for key, value in extra.items() if isinstance(key, str) and key not in _OWN_FIELDS},
    )
