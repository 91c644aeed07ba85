"""What a provider connector is: the one interface between the router and the world of models.

Owns: the call, the answers and the failures that cross that seam, and the abstract `Provider`.
Must never: know about pools, retries or rotation; a connector makes one attempt and says how it went.

Everything here runs on the router's event loop: a connector awaits, and never blocks.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.cdk.credentials import Credentials, secrets_of


class Operation(enum.StrEnum):
    """What is asked, by the name of its OpenAI endpoint."""

    CHAT = "chat.completions"
    COMPLETION = "completions"
    EMBEDDINGS = "embeddings"


class FailureKind(enum.StrEnum):
    """Why an attempt failed, in the terms that routing decides by (`meshd/routing/retry.py`)."""

    AUTHENTICATION = "authentication"  # 401: the key is refused
    PERMISSION = "permission"  # 403
    RATE_LIMIT = "rate_limit"  # 429
    QUOTA = "quota"  # 429/402 that only a new period or money cures
    TIMEOUT = "timeout"  # connected, and no answer in time
    CONNECTION = "connection"  # refused, reset, DNS, TLS: the provider cannot be reached
    SERVER = "server"  # 5xx
    LOCAL = "local"  # this machine lacks something (descriptors, memory, ports): says nothing of the provider
    BAD_ANSWER = "bad_answer"  # a 2xx that is not an answer: HTML, not JSON, an empty stream, an error event inside
    STREAM_CUT = "stream_cut"  # a stream ended without a finish reason, or fell silent
    UNSUPPORTED = "unsupported"  # 400: this model cannot do it, another may
    CONTEXT_LENGTH = "context_length"  # 400: too long for this model
    MODEL_NOT_FOUND = "model_not_found"  # 404: this provider has no such model (any more)
    CONTENT_POLICY = "content_policy"  # this prompt is flagged here; another provider may see it otherwise
    INVALID_REQUEST = "invalid_request"  # 4xx: wrong for every model
    CANCELLED = "cancelled"


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0  # of the input tokens
    written_tokens: int | None = None  # of the input tokens, to a cache, at a price of their own; None: not said


class RateLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Headroom from response headers; None where the provider does not say. Resets in seconds from now."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None


class ProviderFailure(Exception):
    """One attempt failed.

    status: the provider's HTTP status, 0 where there was none. body: its error body, unchanged, for errors
    that the app must see as they are. retry_after: seconds the provider asked to be left alone. unsent: the request
    did not reach the provider, so that it cannot have cost anything. refused: features that the provider says the
    model does not do (`meshd/routing/features.py`). elsewhere: there is no API where it was asked for, so the address
    may be wrong. told: an error that the provider told inside a 200. usage, said: what the provider reported and what
    came of an answer, beside the events of a stream: both may cost something.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int = 0,
        body: bytes = b"",
        retry_after: float | None = None,
        limits: RateLimits | None = None,
        unsent: bool = False,
        refused: tuple[str, ...] = (),
        elsewhere: bool = False,
        told: bool = False,
        usage: Usage | None = None,
        said: str = "",
    ) -> None:
        super().__init__(message)
        self.told = told
        self.cleaned = False  # of secrets (`credentials.py`)
        self.refused = refused
        self.unsent = unsent
        self.elsewhere = elsewhere
        self.kind = kind
        self.message = message
        self.status = status
        self.body = body
        self.retry_after = retry_after
        self.limits = limits
        self.usage = usage
        self.said = said


@dataclass(slots=True)
class ProviderCall:
    """One attempt at one model.

    fields: the top level of the app's JSON body, each value still raw JSON, so that a connector which speaks
    the same format replaces `model` and passes the rest on byte for byte. Shared between attempts: read only.
    key: the fingerprint of the key to use (`ProviderSettings.api_keys`), "": the only one there is.
    so_far: text of the answer that the app has already: what is asked for is the rest of it.
    timeout: seconds for the whole attempt. first_token_timeout, idle_timeout: seconds, streams only.
    """

    operation: Operation
    model: str
    fields: Mapping[str, msgspec.Raw]
    stream: bool = False
    timeout: float = 60.0
    first_token_timeout: float = 30.0
    idle_timeout: float = 30.0
    request_id: str = ""
    key: str = ""
    so_far: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ProviderAnswer:
    """A unary answer: `body` is the OpenAI-format JSON, unchanged where the provider speaks it. size: characters of
    what it says, where that is known anyway: whether its usage can be true is seen by them."""

    body: bytes
    usage: Usage | None = None
    limits: RateLimits | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None


class StreamEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream: `data` is the JSON after `data: `, unchanged.

    content: it carries something the app would show or act on (text, reasoning, a tool call).
    text: the content's text, for taking a stream up elsewhere. reasoning: text of thinking, which is not part of the
    answer. extra: a part of the answer that is not text and that no other model can continue (a tool call, a refusal,
    audio), as text or JSON. finish_reason: set on the last content event.
    hidden: an event the app did not ask for (the usage chunk the mesh requested), not to be passed on.
    """

    data: bytes
    content: bool = False
    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    hidden: bool = False
    limits: RateLimits | None = None
    reasoning: str = ""
    extra: str = ""


class ModelListing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model as the provider lists it. `id` is the provider's own; capabilities are leaf ids or aliases."""

    id: str
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    features: tuple[str, ...] = ()
    deprecated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """With its defaults, as messages between actors and what is kept of a list hold it."""
        return {
            "id": self.id,
            "capabilities": list(self.capabilities),
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "features": list(self.features),
            "deprecated": self.deprecated,
        }


class QuotaStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a provider says of its quota; None where it does not. unit: what the figures count, "USD", "requests", …"""

    used: float | None = None
    remaining: float | None = None
    limit: float | None = None
    unit: str = ""

    @property
    def used_up(self) -> bool:
        return self.remaining is not None and self.remaining <= 0.0


@dataclass(slots=True)
class ProviderSettings:
    """What a connector is made from: its configuration with every reference resolved.

    api_keys: fingerprint → key, where there are several; each call names the one to use. options: the connector's
    own keys. quirks: from the catalogue's row. secrets: values of everything in its section that is secret, or that a
    reference to a secret stands for. state_dir, runtime_dir, data_dir: private directories of the daemon that a
    connector may use.
    """

    name: str
    connector: str
    base_url: str | None = None
    api_key: str | None = None
    auth_method: str | None = None
    timeout: float = 60.0
    connect_timeout: float = 5.0
    max_retries: int = 0
    max_connections: int = 256
    keepalive: float = 90.0
    headers: Mapping[str, str] = field(default_factory=dict)
    api_keys: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    quirks: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    runtime_dir: str = ""
    data_dir: str = ""

    def __repr__(self) -> str:  # never the key, never a header
        return f"ProviderSettings(name={self.name!r}, connector={self.connector!r}, base_url={self.base_url!r})"


class Provider(ABC):
    """A connector instance: lives on the router's loop from the first use until `aclose`."""

    credentials = Credentials()
    """What must not come back in an error: `credentials.clean(failure)`. The mesh does that with every failure; so does
    a connector that writes one down itself. The mesh puts in its own, which knows the keys of before as well."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.credentials = Credentials(secrets_of(settings))

    @abstractmethod
    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        """One unary attempt. Raises ProviderFailure; cancelling it closes the upstream request."""

    @abstractmethod
    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        """One streamed attempt, ending after its finish reason (and usage, where it comes).

        Raises ProviderFailure for everything else, an end without a finish reason among it. Closing the
        iterator (`aclose`) closes the upstream within a second.
        """

    @abstractmethod
    async def list_models(self) -> list[ModelListing]:
        """What the provider offers now. Raises ProviderFailure."""

    async def model_details(self, model: str) -> ModelListing | None:
        """What it says of one of its models; None where it cannot be asked. Raises ProviderFailure."""
        return None

    async def quota(self) -> QuotaStatus | None:
        """What was used of its quota and what is left; None where it cannot be asked. Raises ProviderFailure."""
        return None

    async def probe(self, method: str, model: str | None, timeout: float) -> float:
        """Ask whether it is there, free of charge; seconds taken. method: `models`, for its list of models.

        Raises ProviderFailure. What costs a token is asked by `execute`, as any request is.
        """
        raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} cannot be probed")

    def describe(self) -> dict[str, Any]:
        """What `meshctl providers NAME` shows of the connector itself: endpoint, child process, …"""
        return {"base_url": self.settings.base_url}

    async def aclose(self) -> None:  # noqa: B027 - many a connector has nothing to give back
        """Give back every connection and process. Idempotent."""
