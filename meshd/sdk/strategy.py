"""The interface of a rotation strategy, which says in what order the models of a pool are asked.

Owns: what a strategy is told (`RequestFacts`, `Candidate`) and the abstract `Strategy`.
Must never: reach into the daemon; what a strategy may use is in its arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec


class RequestFacts(msgspec.Struct, frozen=True):
    """What a request needs. input_tokens: an estimate. max_output_tokens: None if it sets no limit. uses: features,
    such as `tool_calling` or `vision`. session: its name, "" if there is none. app: the name of the app's rules."""

    operation: str
    stream: bool = False
    input_tokens: int = 0
    max_output_tokens: int | None = None
    images: int = 0
    uses: tuple[str, ...] = ()
    session: str = ""
    app: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """A model of the pool.

    up: it is neither on cooldown nor switched off; it may still be dropped because of the request's needs, its budget
    or its limits. current: the pool's last request went to it. weight: as configured. cost: the most that this request
    may cost there, in USD; None: its prices are unknown. first_token, total: seconds, in recent requests; None: not
    measured yet. headroom: what is left of its tightest rate limit, 0 to 1. in_flight: requests that it is answering.
    idle: seconds since its last request; None: it had none.
    """

    id: str
    provider: str
    up: bool = True
    current: bool = False
    weight: float = 1.0
    cost: float | None = None
    first_token: float | None = None
    total: float | None = None
    headroom: float = 1.0
    in_flight: int = 0
    idle: float | None = None


class Strategy(ABC):
    """One object for each pool that names it, kept until the configuration is loaded again. settings: its own keys; a
    pool cannot give any yet.

    It runs on the router's event loop, within the decision for a request: it has a few microseconds, and may not block.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    @abstractmethod
    def order(
        self, request: RequestFacts, candidates: Sequence[Candidate], now: float, random: Callable[[], float]
    ) -> Iterable[str]:
        """The candidates' ids, best first. The first one that no stage drops is asked.

        Candidates that are left out follow in the pool's order: to pick one, name one. candidates: all of the pool, in
        its order. now: UTC seconds. random: uniform in [0, 1). It is called for every decision and every explanation,
        so a call does not mean that a model is asked. After an exception, or an unknown id, the strategy is set aside:
        the pool continues with the default one.
        """
