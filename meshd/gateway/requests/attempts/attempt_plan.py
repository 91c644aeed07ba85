"""The context of an attempt: its plan, which belongs to a request (`meshd/routing/attempts/plan.py`) or a probe, the
hooks of its request, and how it ends.

Must never: contain any behaviour.
"""

from __future__ import annotations

import enum
from typing import Protocol

from meshd.core.events.records import Outcome
from meshd.core.needs import RequestNeeds
from meshd.routing.attempts.step import AttemptStep
from meshd.sdk.provider import ProviderFailure, RateLimits, Usage


class Fate(enum.Enum):
    """The outcome of an attempt."""

    ANSWERED = "answered"  # the answer is complete, and settled
    AGAIN = "again"  # it failed, and the request continues
    CONTINUES = "continues"  # its stream broke, and another attempt may continue it
    OVER = "over"  # it failed, and the request with it


class Hooks(Protocol):
    """The hooks that see a request between app and model (`hooks.py`)."""

    async def before_attempt(self, step: AttemptStep) -> None:
        """Raises ClientGone if a hook has refused the request."""
        ...

    def ended(self, outcome: Outcome) -> None: ...


class Plan(Protocol):
    """Settles what an attempt reserved, and judges how it ended. Times are those of `clock.now()`.

    deadline: when the attempt has to end. latest: what that becomes with the first chunk of a stream.
    """

    deadline: float
    latest: float
    needs: RequestNeeds

    def start(self, step: AttemptStep, now: float) -> bool: ...

    def note_begun(self) -> None: ...

    def succeeded(
        self, now: float, duration: float, *, step: AttemptStep, usage: Usage, limits: RateLimits | None
    ) -> None: ...

    def failed(
        self, failure: ProviderFailure, now: float, duration: float, *, step: AttemptStep, usage: Usage, begun: bool
    ) -> object: ...

    def cancelled(self, now: float, duration: float, *, step: AttemptStep, usage: Usage, sent: bool) -> None: ...

    def lost(self, now: float, duration: float, *, step: AttemptStep, usage: Usage, sent: bool) -> None: ...

    def ran_out(self, now: float, duration: float, *, step: AttemptStep, usage: Usage) -> None: ...
