"""The plan of an attempt, as the attempt sees it: a request's (`meshd/routing/attempts/plan.py`) or a probe's.

Must never: do anything.
"""

from __future__ import annotations

from typing import Protocol

from meshd.core.needs import RequestNeeds
from meshd.routing.attempts.step import AttemptStep
from meshd.sdk.provider import ProviderFailure, RateLimits, Usage


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
