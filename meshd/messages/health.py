"""What the health monitor hears."""

from __future__ import annotations

from meshd.core.message import Message


class Probed(Message, frozen=True):
    """How a probe went (router → health). error: "" when it answered. refused: something is there, and does not list
    its models. requests: what became of those sent to it, as `ProviderState.answering`."""

    provider: str
    token: int
    latency: float
    error: str = ""
    kind: str = ""
    refused: bool = False
    requests: str = ""


class ProviderFailed(Message, frozen=True):
    """A request's attempt met a failure that says something of the provider (router → health)."""

    provider: str
    kind: str
    message: str


class ProbeNow(Message, frozen=True):
    """`meshctl probe [PROVIDER]` → health. Answered with a list of maps when all have answered."""

    provider: str | None = None
