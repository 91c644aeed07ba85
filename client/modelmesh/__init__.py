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
    from modelmesh._async.client import AsyncOpenAIClient
    from modelmesh._async.stream import AsyncStream
    from modelmesh._create import create
    from modelmesh._http_clients import async_http_client, async_openai_client, http_client, openai_client
    from modelmesh._openai_sdk.arguments import NOT_GIVEN, NotGiven
    from modelmesh._openai_sdk.not_offered import NotOfferedError
    from modelmesh._openai_sdk.structured_output import ContentFilterFinishReasonError, LengthFinishReasonError
    from modelmesh._sync.client import OpenAIClient
    from modelmesh._sync.stream import Stream
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
    "AsyncOpenAIClient": "_async.client",
    "AsyncStream": "_async.stream",
    "ContentFilterFinishReasonError": "_openai_sdk.structured_output",
    "LengthFinishReasonError": "_openai_sdk.structured_output",
    "NOT_GIVEN": "_openai_sdk.arguments",
    "NotGiven": "_openai_sdk.arguments",
    "NotOfferedError": "_openai_sdk.not_offered",
    "OpenAIClient": "_sync.client",
    "Stream": "_sync.stream",
    "async_http_client": "_http_clients",
    "async_openai_client": "_http_clients",
    "create": "_create",
    "http_client": "_http_clients",
    "openai_client": "_http_clients",
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
    if name in ("testing", "types"):
        return import_module(f"modelmesh.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"modelmesh.{_HOMES.get(name, 'errors')}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
