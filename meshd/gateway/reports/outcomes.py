"""Requests and attempts that ended: counted, and reported to telemetry and the health monitor.

Owns: the counts since the start, and the outcomes that telemetry does not have yet.
Must never: judge a failure.
"""

from __future__ import annotations

import asyncio

import msgspec

from meshd import messages
from meshd.core.events.answering import ProviderAnswering
from meshd.core.events.records import Outcome
from meshd.gateway.actors import Tell
from meshd.gateway.frontends.workplaces import KNOWN_IN, Workplace
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
        self._untold: list[tuple[float, Outcome, Workplace]] = []  # since when
        self._timer: asyncio.TimerHandle | None = None

    def inherit(self, before: Outcomes) -> None:
        self.total, self.failed, self.clients = before.total, before.failed, before.clients

    def request_ended(self, outcome: Outcome, work: Workplace) -> None:
        """work: where its caller works."""
        self.total += 1
        self.failed += outcome.status >= 400 and outcome.status != 499
        self.clients.count(outcome)
        self._publisher.note_outcome(outcome)
        self._untold.append((clock.now(), outcome, work))
        self._flush_soon()

    async def settle(self) -> None:
        """Send telemetry all requests that ended, as soon as it is known where their callers work."""
        await asyncio.gather(*(work.known() for work in {work for _, _, work in self._untold}))
        self.flush()

    def flush(self) -> None:
        """Send telemetry all requests that ended, at once."""
        untold, self._untold = self._untold, []
        self._send(untold)

    def _flush_soon(self) -> None:
        if self._timer is None and self._untold:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._flush_known)

    def _flush_known(self) -> None:
        """In batches: each message wakes telemetry's thread, which then competes for the interpreter with the next
        request."""
        self._timer, now = None, clock.now()
        untold, self._untold = self._untold, []
        known: list[tuple[float, Outcome, Workplace]] = []
        for each in untold:
            (known if each[2].done or now - each[0] >= KNOWN_IN else self._untold).append(each)
        self._send(known)
        self._flush_soon()

    def _send(self, ended: list[tuple[float, Outcome, Workplace]]) -> None:
        if ended:
            self._tell("telemetry", messages.RequestsEnded([_placed(outcome, work) for _, outcome, work in ended]))

    def attempt_failed(self, provider: str, failure: ProviderFailure) -> None:
        if failure.kind is FailureKind.LOCAL:
            self.shortages.note(failure.lack, clock.now())
        lost = failure.status == 404 and self._state.provider(provider).answering is ProviderAnswering.NOTHING
        if failure.kind in _ABOUT_THE_PROVIDER or lost:  # a wrong base_url shows in requests first
            self._tell("health", messages.ProviderFailed(provider, failure.kind, failure.message))


def _placed(outcome: Outcome, work: Workplace) -> Outcome:
    """With its project, unless the app has named one."""
    if outcome.project or not work.project:
        return outcome
    return msgspec.structs.replace(outcome, project=work.project)
