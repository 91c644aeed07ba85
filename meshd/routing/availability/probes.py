"""What probes of providers and single models change, and which members they may be sent to.

Must never: send one, or decide when (`discovery/`).
"""

from __future__ import annotations

from collections.abc import Collection

from meshd.core.events.cause import Cause, Why
from meshd.routing.availability.consequences import (
    BLAMELESS,
    counts,
    of_failure,
    record_failure,
    record_success,
    recover_proven,
    told_to_wait,
)
from meshd.routing.availability.recovery import passing, proves, stand_by, stand_by_indefinitely
from meshd.routing.availability.retry_after import bound_wait
from meshd.routing.availability.state import Change, MeshState, availabilities
from meshd.routing.standing import INDEFINITELY
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import FailureKind, ProviderFailure


def to_probe(
    state: MeshState, table: RoutingTable, pool: PoolSpec, now: float, models: Collection[str] | None, resting: bool
) -> list[str]:
    """The members that may be probed now: of `models` (None: all), and with `resting` only those that are set aside.

    Left out are those that are set aside until a reset or an operator's command, and those that are being tested. Of a
    provider that is set aside, one model is enough.
    """
    found, asked = [], set()
    for id in pool.members:
        model = table.models[id]
        if models is not None and id not in models:
            continue
        if state.model(id).deactivated is not None or table.providers[model.provider].disabled:
            continue
        known = [each for each in availabilities(state, pool.name, id, model.provider) if each.standby]
        if any(each.until == INDEFINITELY or each.tester is not None or not proves(each, now) for each in known):
            continue
        down = state.provider(model.provider).availability.standby
        if down and (model.provider in asked or not pool.recover_on_probe):
            continue
        if known or not resting:
            found.append(id)
            if down:
                asked.add(model.provider)
    return found


def probe_answered(state: MeshState, table: RoutingTable, provider: str, now: float) -> bool:
    """A provider answered a probe: a request may test its models now. Models that could not be reached come back,
    unless a test has failed since. True if that may help a request."""
    helped = False
    for (pool, id), member in state.members.items():
        model, spec = table.models.get(id), table.pools.get(pool)
        if model is None or model.provider != provider or (spec is not None and not spec.recover_on_probe):
            continue
        for known in (state.model(id).availability, member.availability):
            if not known.standby or not known.probation or not passing(known):
                continue
            known.retry_at, known.tries = min(known.retry_at, now), 0
            if known.kind in _UNREACHED and known.relapses <= 1:
                known.until = min(known.until, now)
            helped = True
    return helped


_UNREACHED = frozenset({FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.STREAM_CUT})


def record_probe(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    failure: ProviderFailure | None,
    now: float,
    tester: object,
    timezone: str = "UTC",
) -> list[Change]:
    """Record how a probe of one model went (failure None: it answered). Returns what it changed.

    One failure sets a model aside: no app waits for the answer, and a later probe or request finds out more. A probe
    that was refused for its form shows that the server is there, and a request may test it at once.
    """
    if failure is None:
        return record_success(state, pool, model, provider, now)
    if failure.kind is FailureKind.LOCAL:  # the probe says nothing
        return []
    bound_wait(failure, pool.retry, pool.recovery)
    if failure.kind in BLAMELESS:
        for availability in availabilities(state, pool.name, model.id, model.provider):
            if availability.tester is tester:
                availability.until = min(availability.until, now)
        return []
    changes = record_failure(state, pool, model, provider, failure, now, tester, timezone=timezone)
    known = state.member(pool.name, model.id).availability
    if changes or known.standby or not counts(failure, pool, provider):
        return changes
    why = of_failure(Cause.PROBE_FAILED, failure)
    stand_by(known, why, pool.recovery, now, told_to_wait(failure, pool))
    return [Change("member", False, why, pool.name, model.id, model.provider, known.until)]


def record_health(
    state: MeshState, provider: str, available: bool, error: str, now: float, recover_on_probe: bool = True
) -> list[Change]:
    """Record the health monitor's result for a provider."""
    known = state.provider(provider)
    if available:
        known.connection_failures = 0
        known.failing_models.clear()
        known.forbidden_models.clear()
        if recover_on_probe and (back := recover_proven(known.availability, now, Why(Cause.PROBE_ANSWERED))):
            known.auth_valid = True
            return [Change("provider", True, back, provider=provider)]
        return []
    if known.availability.standby:
        return []
    why = Why(Cause.PROBE_FAILED, said=error)
    stand_by_indefinitely(known.availability, why, now)
    return [Change("provider", False, why, provider=provider)]
