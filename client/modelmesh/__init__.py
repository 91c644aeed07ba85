"""The thin client of the mesh: OpenAI's API over the daemon's local socket.

    import modelmesh

    client = modelmesh.OpenAIClient()
    reply = client.chat.completions.create(model="chat-completion", messages=[{"role": "user", "content": "Hello"}])
    reply.choices[0].message.content

Everything is imported on first use, so that neither the daemon (which shares `protocol` and `errors`) nor pytest
(which loads the plug-in) pays for the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelmesh._absent import NotOfferedError
    from modelmesh._async_client import AsyncOpenAIClient
    from modelmesh._client import OpenAIClient
    from modelmesh._create import create
    from modelmesh._openai_transport import async_http_client, async_openai_client, http_client, openai_client
    from modelmesh._options import NOT_GIVEN, NotGiven
    from modelmesh._parsing import ContentFilterFinishReasonError, LengthFinishReasonError
    from modelmesh._streaming import AsyncStream, Stream
    from modelmesh.errors import (
        AccessDeniedError,
        AllProvidersExhaustedError,
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        BudgetExceededError,
        ConfigurationError,
        ConflictError,
        DaemonUnavailableError,
        InternalServerError,
        InvalidRequestError,
        MeshError,
        NoActiveModelError,
        NotFoundError,
        OpenAIError,
        PermissionDeniedError,
        ProtocolError,
        ProviderConnectionError,
        ProviderError,
        ProviderTimeoutError,
        QueueFullError,
        RateLimitError,
        RequestCancelledError,
        RequestTimeoutError,
        RoutingError,
        StreamInterrupted,
        UnprocessableEntityError,
    )
    from modelmesh.version import VERSION as __version__

_HOMES = {
    "AsyncOpenAIClient": "_async_client",
    "AsyncStream": "_streaming",
    "ContentFilterFinishReasonError": "_parsing",
    "LengthFinishReasonError": "_parsing",
    "NOT_GIVEN": "_options",
    "NotGiven": "_options",
    "NotOfferedError": "_absent",
    "OpenAIClient": "_client",
    "Stream": "_streaming",
    "async_http_client": "_openai_transport",
    "async_openai_client": "_openai_transport",
    "create": "_create",
    "http_client": "_openai_transport",
    "openai_client": "_openai_transport",
}
"""Each name's module; the others in `__all__` are errors."""


__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AccessDeniedError",
    "AllProvidersExhaustedError",
    "AsyncOpenAIClient",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "ConfigurationError",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "DaemonUnavailableError",
    "InternalServerError",
    "InvalidRequestError",
    "LengthFinishReasonError",
    "MeshError",
    "NoActiveModelError",
    "NotFoundError",
    "NotGiven",
    "NotOfferedError",
    "OpenAIClient",
    "OpenAIError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderTimeoutError",
    "QueueFullError",
    "RateLimitError",
    "RequestCancelledError",
    "RequestTimeoutError",
    "RoutingError",
    "Stream",
    "StreamInterrupted",
    "UnprocessableEntityError",
    "__version__",
    "async_http_client",
    "async_openai_client",
    "create",
    "http_client",
    "openai_client",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        return import_module("modelmesh.version").VERSION
    if name == "testing":
        return import_module("modelmesh.testing")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"modelmesh.{_HOMES.get(name, 'errors')}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
