"""Applies the health monitor's reports about providers to the router's state.

Must never: bring back a provider that was set aside, unless it answered a probe.
"""

from __future__ import annotations

from meshd import messages
from meshd.core.events.answering import ProviderAnswering
from meshd.core.events.cause import Cause, Why
from meshd.gateway.actors import Tell
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.routing.availability import probes, recovery, saved
from meshd.routing.availability.state import Change, ProviderState
from meshd.routing.rates.key_ring import KEY_REFUSED
from meshd.routing.table.policies import RecoveryPolicy


class HealthReports:
    """For one router."""

    def __init__(self, runtime: Runtime, tell: Tell) -> None:
        self._runtime = runtime
        self._tell = tell

    def take(self, report: messages.HealthReport) -> None:
        """Record the score and, after a probe, apply its result."""
        now, known = clock.now(), self._runtime.state.provider(report.provider)
        known.score = report.score
        if not report.probed:
            return
        known.last_probe, known.latency = report.at, report.latency
        known.probe_error = report.error if report.refused and known.answering is not ProviderAnswering.SERVES else ""
        if report.refused:
            self._refused(report, known, now)
        elif report.answered or not report.available:
            self._answered(report, known, now)

    def _refused(self, report: messages.HealthReport, known: ProviderState, now: float) -> None:
        """The provider is set aside as after a failure, because only a request can tell more."""
        aside, publisher = known.availability, self._runtime.publisher
        if not report.available and not aside.standby:
            why = Why(Cause.PROBE_FAILED, said=report.error)
            recovery.stand_by(aside, why, RecoveryPolicy(), now)
            publisher.changed([Change("provider", False, why, provider=report.provider, until=aside.until)])
        elif report.available and aside.standby and recovery.set_aside_by_probe(aside):
            publisher.changed(probes.record_health(self._runtime.state, report.provider, True, "", now))

    def _answered(self, report: messages.HealthReport, known: ProviderState, now: float) -> None:
        runtime, aside = self._runtime, known.availability
        if report.answered and aside.standby and aside.kind in KEY_REFUSED:
            # A list of models may need no key: a request has to test it. A further refused request tells more than such
            # a list, so the cooldown stays.
            if aside.relapses <= 1 and now < aside.until:
                aside.until = now
                value = saved.by_the_wall_clock(saved.dump_provider(known), runtime.state.ahead)
                self._tell("state", messages.StateChanged("provider", report.provider, value))
            return
        # Pools that wait for an operator hold their own members (`interventions.hold`).
        changes = probes.record_health(runtime.state, report.provider, report.available, report.error, now)
        runtime.publisher.changed(changes)
        if report.answered and probes.probe_answered(runtime.state, runtime.table, report.provider, now):
            runtime.room.freed()
        if any(change.available for change in changes):
            self._refresh_secrets(report.provider)

    def _refresh_secrets(self, provider: str) -> None:
        config = self._runtime.config
        names = config.secret_names.get(provider, ()) if config is not None else ()
        if config is not None and names and config.config.secrets.reload_on_rotation:
            self._tell("secret", messages.RefreshSecret(tuple(names), provider, "its provider is back"))
