"""Requests and attempts that ended: counted, and told to telemetry and the health monitor.

Owns: the counts since the start, and the outcomes that telemetry does not have yet.
Must never: judge a failure.
"""

from __future__ import annotations

import asyncio

from meshd import messages
from meshd.core.events.records import Outcome
from meshd.gateway.actors import Tell
from meshd.gateway.reports.clients import ClientBook
from meshd.gateway.reports.shortages import Shortages
from meshd.gateway.reports.state_publisher import StatePublisher
from meshd.host import clock
from meshd.routing.availability.state import MeshState
from meshd.sdk.provider import FailureKind, ProviderFailure

_ABOUT_THE_PROVIDER = frozenset(
    {FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.SERVER, FailureKind.AUTHENTICATION}
)
_GATHER = 0.02  # s for which ended requests are gathered before telemetry gets them


class Outcomes:
    """total, failed: requests since the start."""

    def __init__(self, tell: Tell, state: MeshState, publisher: StatePublisher) -> None:
        self.total = 0
        self.failed = 0
        self.clients = ClientBook()
        self.shortages = Shortages()
        self._tell = tell
        self._state = state
        self._publisher = publisher
        self._untold: list[Outcome] = []

    def inherit(self, before: Outcomes) -> None:
        self.total, self.failed, self.clients = before.total, before.failed, before.clients

    def request_ended(self, outcome: Outcome) -> None:
        self.total += 1
        self.failed += outcome.status >= 400 and outcome.status != 499
        self.clients.count(outcome)
        self._publisher.note_outcome(outcome)
        if not self._untold:
            asyncio.get_running_loop().call_later(_GATHER, self.flush)
        self._untold.append(outcome)

    def flush(self) -> None:
        """Send telemetry the requests that ended. In batches: each message wakes its thread, which then competes for
        the interpreter with the next request."""
        outcomes, self._untold = self._untold, []
        self._tell("telemetry", messages.RequestsEnded(outcomes))

    def attempt_failed(self, provider: str, failure: ProviderFailure) -> None:
        if failure.kind is FailureKind.LOCAL:
            self.shortages.note(failure.lack, clock.now())
        lost = failure.status == 404 and self._state.provider(provider).answering == "nothing"
        if failure.kind in _ABOUT_THE_PROVIDER or lost:  # a wrong base_url shows in requests first
            self._tell("health", messages.ProviderFailed(provider, failure.kind, failure.message))
