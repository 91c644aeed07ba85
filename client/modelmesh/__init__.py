"""The thin client of the mesh: OpenAI's API over the daemon's local socket.

    import modelmesh

    client = modelmesh.OpenAIClient()
    reply = client.chat.completions.create(model="chat-completion", messages=[{"role": "user", "content": "Hello"}])
    reply.choices[0].message.content

What is rarely needed (asyncio, the OpenAI SDK, the testing aids) is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelmesh._client import OpenAIClient
from modelmesh._errors import (
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
from modelmesh._options import NOT_GIVEN, NotGiven
from modelmesh._streaming import AsyncStream, Stream
from modelmesh._version import VERSION as __version__

if TYPE_CHECKING:
    from modelmesh._async_client import AsyncOpenAIClient
    from modelmesh._create import create
    from modelmesh._openai_transport import async_openai_client, openai_client

_LAZY = {
    "AsyncOpenAIClient": "modelmesh._async_client",
    "create": "modelmesh._create",
    "openai_client": "modelmesh._openai_transport",
    "async_openai_client": "modelmesh._openai_transport",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


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
    "DaemonUnavailableError",
    "InternalServerError",
    "InvalidRequestError",
    "MeshError",
    "NoActiveModelError",
    "NotFoundError",
    "NotGiven",
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
    "async_openai_client",
    "create",
    "openai_client",
]
