"""Why an attempt failed, and what it cost."""

from __future__ import annotations

import enum

import msgspec


class FailureKind(enum.StrEnum):
    """Why an attempt failed, in routing's terms (`meshd/routing/attempts/retry.py`)."""

    AUTHENTICATION = "authentication"  # 401: the key is refused
    PERMISSION = "permission"  # 403
    RATE_LIMIT = "rate_limit"  # 429
    QUOTA = "quota"  # 402 or 429: used up until a new period begins or the bill is paid
    TIMEOUT = "timeout"  # connected, but no answer in time
    CONNECTION = "connection"  # refused, reset, DNS, TLS: the provider cannot be reached
    SERVER = "server"  # 5xx
    LOCAL = "local"  # this machine lacks something (descriptors, memory, ports): says nothing about the provider
    BAD_ANSWER = "bad_answer"  # a 2xx that is not an answer: HTML, not JSON, an empty stream, an error inside
    STREAM_CUT = "stream_cut"  # a stream ended without a finish reason, or fell silent
    UNSUPPORTED = "unsupported"  # 400: this model cannot do it, another may
    CONTEXT_LENGTH = "context_length"  # 400: too long for this model
    MODEL_NOT_FOUND = "model_not_found"  # 404: this provider has no such model (any more)
    CONTENT_POLICY = "content_policy"  # this prompt is flagged here; another provider may accept it
    INVALID_REQUEST = "invalid_request"  # 4xx: wrong for every model
    CANCELLED = "cancelled"


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the provider counted. units: amounts other than tokens, by the names of `meshd/core/prices.py`: searches,
    seconds, …. kind: the kind of these units, as far as it is reported: name → value. tier: the service tier of the
    request, if that has its own prices (`meshd/core/prices.py`: TIERS)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0  # of the input tokens
    written_tokens: int | None = None  # of the input tokens: written to a cache at a separate price; None: not reported
    units: tuple[tuple[str, int], ...] = ()
    reasoning_tokens: int = 0  # of the output tokens
    lasting_tokens: int | None = None  # of the written ones: kept for longer than 5 minutes; None: not distinguished
    kind: tuple[tuple[str, str], ...] = ()
    tier: str = ""


class RateLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Headroom from response headers; None if the provider does not report it. Resets in seconds from now."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None


class ProviderFailure(Exception):
    """One attempt failed.

    status: the provider's HTTP status, 0 if there was none. body: its error body, unchanged, for errors that the app
    must see as they are. retry_after: seconds that the provider asked us to wait. unsent: the request did not reach the
    provider, so it cannot have cost anything. refused: features that the provider says the model lacks
    (`meshd/routing/request/features.py`). of_reasoning: it refuses the reasoning in the conversation. elsewhere: there
    is no API at this address, which may be wrong. error_inside: what came instead of an answer, or within one, says
    that it is an error. usage, said: what the provider reported, and the part of an answer that arrived, apart from
    the events of a stream; both may cost something. part: the usage is complete, although smaller than the whole
    request's would be, because only some of its calls were made. lack, where: for a LOCAL failure, what this machine
    lacks, and what it tried to reach.
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
        of_reasoning: bool = False,
        elsewhere: bool = False,
        error_inside: bool = False,
        usage: Usage | None = None,
        said: str = "",
        lack: str = "",
        where: str = "",
    ) -> None:
        super().__init__(message)
        self.lack = lack or message
        self.where = where
        self.error_inside = error_inside
        self.cleaned = False  # whether secrets were masked (`credentials.py`)
        self.refused = refused
        self.of_reasoning = of_reasoning
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
        self.part = False
