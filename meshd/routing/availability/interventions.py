"""What an operator, a pool that waits for one, or a new configuration changes for those that are set aside."""

from __future__ import annotations

from meshd.core.events.cause import BY_HAND, Cause, Why
from meshd.routing.availability.recovery import reset, stand_by_indefinitely
from meshd.routing.availability.state import Change, MeshState
from meshd.routing.standing import INDEFINITELY
from meshd.routing.table.specs import RoutingTable


def hold(state: MeshState, table: RoutingTable, provider: str, behind: Why, now: float) -> list[Change]:
    """A provider went on standby: in pools with `provider_recovery: on_manual` its models stay set aside until an
    operator activates them, even if the provider recovers for other pools."""
    changes = []
    for pool in table.pools.values():
        if pool.recover_on_probe:
            continue
        for id in pool.members:
            if table.models[id].provider != provider:
                continue
            known = state.member(pool.name, id).availability
            if known.until != INDEFINITELY:
                why = Why(Cause.HELD, provider=provider, behind=behind)
                stand_by_indefinitely(known, why, now)
                changes.append(Change("member", False, why, pool.name, id, provider))
    return changes


def activate(state: MeshState, table: RoutingTable, model: str, now: float) -> list[Change]:
    """An operator activates the model in all pools. Returns what that brings back. The provider's other models that
    were held with it are released."""
    state.model(model).deactivated = None
    state.model(model).refused.clear()
    provider = table.models[model].provider
    changes = []
    if why := reset(state.provider(provider).availability, now, BY_HAND):
        changes.append(Change("provider", True, why, provider=provider))
    if why := reset(state.model(model).availability, now, BY_HAND):
        changes.append(Change("model", True, why, model=model, provider=provider))
    for (pool, id), member in state.members.items():
        other = table.models.get(id)
        held = member.availability.cause is Cause.HELD and other is not None and other.provider == provider
        if id == model or held:
            member.failures = 0
            if why := reset(member.availability, now, BY_HAND):
                state.accounts.begin_stint(pool, id)
                changes.append(Change("member", True, why, pool, id, provider))
    return changes


def new_chance(state: MeshState, table: RoutingTable, provider: str, now: float) -> list[Change]:
    """With a new key or address it counts as another provider: earlier failures are forgotten. Used-up quotas and what
    waits for an operator stay."""
    known = state.provider(provider)
    known.auth_valid, known.auth_tried = True, False
    changes = []
    if why := reset(state.provider(provider).availability, now, _RECONFIGURED):
        changes.append(Change("provider", True, why, provider=provider))
    ids = {id for id, model in table.models.items() if model.provider == provider}
    for id in ids & state.models.keys():
        state.models[id].refused.clear()
        state.models[id].failing_since = None
        known_model = state.models[id].availability
        if known_model.probation and (why := reset(known_model, now, _RECONFIGURED)):
            changes.append(Change("model", True, why, model=id, provider=provider))
    for (pool, id), member in state.members.items():
        if id in ids and member.availability.probation and member.availability.cause is not Cause.HELD:
            member.failures = 0
            if why := reset(member.availability, now, _RECONFIGURED):
                changes.append(Change("member", True, why, pool, id, provider))
    return changes


_RECONFIGURED = Why(Cause.RECONFIGURED)
