"""The interface of a provider connector, the only one between the router and models.

Owns: the call and the answers that cross it, and the abstract `Provider`.
Must never: know about pools, retries or rotation; a connector makes one attempt and says how it went.

Everything here runs on the router's event loop: a connector awaits, and never blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.sdk.calls.credential import Credential
from meshd.sdk.calls.failure import FailureKind, ProviderFailure, RateLimits, Usage
from meshd.sdk.calls.form import Form
from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.calls.passing import RawAnswer, RawRequest, Written
from meshd.sdk.calls.tracing import CallTrace
from meshd.sdk.http.credentials import Credentials, secrets_of
from meshd.sdk.settings import CALL_TIMEOUT, FIRST_TOKEN_TIMEOUT, IDLE_TIMEOUT, ProviderSettings

__all__ = [
    "FailureKind",
    "ModelListing",
    "OperationSpec",
    "Provider",
    "ProviderAnswer",
    "ProviderCall",
    "ProviderFailure",
    "ProviderSettings",
    "QuotaStatus",
    "RateLimits",
    "StreamEvent",
    "Usage",
]


class ProviderCall(msgspec.Struct):
    """One attempt at one model.

    fields: the top level of the app's JSON body, each value still raw JSON, so that a connector which speaks
    the same format replaces `model` and passes the rest on byte for byte. Shared between attempts: read only.
    key: the fingerprint of the key to use (`ProviderSettings.api_keys`), "": the only one. so_far: text of the answer
    that the app already has: ask for the rest. form: the app's body, if it is a form; a connector that speaks the same
    format sends `form.written(fields)`. timeout: seconds for the whole attempt. first_token_timeout,
    idle_timeout: seconds, streams only.
    format: that of the fields, "": what the provider speaks. headers, query: of the app's request, for a provider of
    the same format. most_output: the most tokens that the model may write, for formats that require a limit; None if
    unknown. mark_caches: whether to mark the prompt for the provider's cache, if the format has marks and the app set
    none. credential: the app's own, for a provider with `auth.method: passthrough`; never kept, logged or shown.
    trace: where its HTTP calls are recorded; None if they are not.
    """

    operation: OperationSpec
    model: str
    fields: Mapping[str, msgspec.Raw]
    stream: bool = False
    timeout: float = CALL_TIMEOUT
    first_token_timeout: float = FIRST_TOKEN_TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT
    request_id: str = ""
    key: str = ""
    so_far: str = ""
    form: Form | None = None
    format: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    most_output: int | None = None
    mark_caches: bool = False
    credential: Credential | None = None
    trace: CallTrace | None = None


@dataclass(slots=True)
class ProviderAnswer:
    """A unary answer: `body` is the OpenAI-format JSON, unchanged where the provider speaks it, or a text. size:
    characters of its text, if they have been counted anyway, to check its usage."""

    body: bytes
    usage: Usage | None = None
    limits: RateLimits | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    content_type: str = "application/json"


class StreamEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream: `data` is the JSON after `data: `, unchanged.

    content: it carries something the app would show or act on (text, reasoning, a tool call).
    text: the content's text, for continuing a stream elsewhere. reasoning: not part of the answer. extra: a part of the
    answer that is not text and that no other model can continue (a tool call, a refusal, audio), as text or JSON.
    content_type: of an answer that is a file; then `data` is a piece of it.
    finish_reason: set on the last content event. hidden: an event the app did not ask for (the usage chunk the mesh
    requested), not to be passed on.
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
    content_type: str = ""


class ModelListing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model as the provider lists it. `id` is the provider's own; capabilities are leaf ids or aliases. retires: the
    first day on which it is no longer served, as `2026-12-31`; "" if none is announced."""

    id: str
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    features: tuple[str, ...] = ()
    deprecated: bool = False
    retires: str = ""

    def to_dict(self) -> dict[str, Any]:
        """With its defaults, as in messages between actors and in saved lists."""
        return {
            "id": self.id,
            "capabilities": list(self.capabilities),
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "features": list(self.features),
            "deprecated": self.deprecated,
            "retires": self.retires,
        }


class QuotaStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider's report on its quota; None if unknown. unit: what the figures count, "USD", "requests", …"""

    used: float | None = None
    remaining: float | None = None
    limit: float | None = None
    unit: str = ""

    @property
    def used_up(self) -> bool:
        return self.remaining is not None and self.remaining <= 0.0


class Provider(ABC):
    """A connector instance: lives on the router's loop from the first use until `aclose`."""

    speaks: str = "openai"
    """The wire format of its calls and answers, by name. The mesh translates for apps that speak another."""

    custom_tools: bool = False
    """Whether it knows tools that take any text. If not, such tools of apps that speak another format become
    functions."""

    late_instructions: bool = False
    """Whether it takes instructions between the other turns of a chat, and the role `developer`, although servers of
    its format may refuse them. If not, those of apps that speak another format are put into the user's turns."""

    also_speaks: frozenset[str] = frozenset()
    """Other formats in which it takes calls (`ProviderCall.format`) and answers."""

    keeps_time: bool = False
    """Whether `execute` always ends within `ProviderCall.timeout`. If not, the mesh ends it a second later."""

    batches: str = ""
    """The name of the API through which it takes many requests at once (`meshd/formats/batches`); "": none."""

    credentials = Credentials()
    """Masks secrets in an error: `credentials.clean(failure)`. The mesh does that with every failure; a connector that
    logs one has to do it itself. The mesh sets its own, which also knows earlier keys."""

    @classmethod
    def formats(cls, settings: ProviderSettings) -> tuple[str, ...]:
        """The wire formats that an instance would take calls in. May raise ValueError for settings that cannot be
        used."""
        return (cls.speaks, *sorted(cls.also_speaks))

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.credentials = Credentials(secrets_of(settings))

    @abstractmethod
    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        """One unary attempt. Raises ProviderFailure; cancelling it closes the upstream request."""

    @abstractmethod
    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        """One streamed attempt, ending after its finish reason (and usage, if sent).

        Raises ProviderFailure for everything else, including an end without a finish reason. Closing the iterator
        (`aclose`) closes the upstream within a second.
        """

    @abstractmethod
    async def list_models(self) -> list[ModelListing]:
        """The models that the provider offers now. Raises ProviderFailure."""

    async def model_details(self, model: str) -> ModelListing | None:
        """The provider's description of one model; None if there is none. Raises ProviderFailure."""
        return None

    async def quota(self) -> QuotaStatus | None:
        """How much of its quota is used and left; None if it cannot be asked. Raises ProviderFailure."""
        return None

    async def probe(self, timeout: float) -> float:
        """Check that it is reachable, free of charge. Returns the seconds that this took.

        Raises ProviderFailure. A probe that costs a token uses `execute`, like any request.
        """
        raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} cannot be probed")

    async def forward(self, asked: RawRequest) -> RawAnswer:
        """Send a request to its own API with its key. Raises ProviderFailure."""
        raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} has no native API over HTTP")

    def written(self, call: ProviderCall) -> Written:
        """A call as it would be sent, for a batch. Raises ProviderFailure."""
        raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} takes no batches", unsent=True)

    def read(self, body: bytes, call: ProviderCall) -> ProviderAnswer:
        """The answer to a call that was `written`, as it came in a batch's results. Raises ProviderFailure."""
        raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} takes no batches")

    def describe(self) -> dict[str, Any]:
        """What `meshctl providers NAME` shows about the connector: endpoint, child process, … A `remark` also becomes a
        note in the status: what an operator should know and, after "; ", what to do about it."""
        return {"base_url": self.settings.base_url}

    async def aclose(self) -> None:  # noqa: B027 - many connectors have nothing to close
        """Close every connection and process. Idempotent."""
