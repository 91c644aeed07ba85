"""What the health monitor hears."""

from __future__ import annotations

from meshd.core.events.answering import ProviderAnswering
from meshd.core.messaging.message import Message


class Probed(Message, frozen=True):
    """How a probe went (router → health). error: "" if the provider answered. refused: a server answers, but does not
    list its models. requests: what requests to it have found. elsewhere: there is no API at this
    address."""

    provider: str
    token: int
    latency: float
    error: str = ""
    kind: str = ""
    refused: bool = False
    requests: ProviderAnswering = ProviderAnswering.UNKNOWN
    elsewhere: bool = False


class ProviderFailed(Message, frozen=True):
    """An attempt failed in a way that says something about the provider (router → health)."""

    provider: str
    kind: str
    message: str


class ProbeNow(Message, frozen=True):
    """`meshctl probe [PROVIDER]` → health. Answered with a list of maps when all have answered."""

    provider: str | None = None
