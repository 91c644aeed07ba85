"""When a failure takes a model out of a pool, or a provider out of all pools.

Owns: the consequences of one attempt's success or failure for the state.
Must never: choose what to try next (`plan.py`).

Error-based rules: consecutive failures by the codes that count, a refused key at once, an unreachable
provider, 5xx or 403 over several of a provider's models. Rule: spec/routing.md, Deactivation.
"""

from __future__ import annotations

from meshd.cdk.provider import FailureKind, ProviderFailure
from meshd.routing.recovery import recover, stand_by, stand_by_indefinitely
from meshd.routing.state import Change, MeshState
from meshd.routing.table import ModelSpec, PoolSpec, ProviderSpec

UNREACHABLE_AFTER = 2
"""Connections to a provider that fail one after another, over all its models, until it counts as gone."""
FAILING_MODELS = 2
"""Different models of a provider with 5xx (or with 403) and no success between, until the provider is blamed."""

PROBE = "probe"
"""The cause of a standby that the health monitor's probes began, and only they (or an operator) end."""

_BLAMELESS = frozenset(
    {FailureKind.UNSUPPORTED, FailureKind.CONTEXT_LENGTH, FailureKind.INVALID_REQUEST, FailureKind.CANCELLED}
)
_OF_ONE_MODEL = frozenset({FailureKind.RATE_LIMIT, FailureKind.QUOTA, FailureKind.MODEL_NOT_FOUND})
"""Answers that say nothing against the rest of the provider."""


def counts(failure: ProviderFailure, pool: PoolSpec, provider: ProviderSpec) -> bool:
    """Whether the failure is one the pool's `deactivation.error_codes` blames the model for."""
    if failure.kind in _BLAMELESS:
        return False
    if failure.status < 400:  # no answer, or one that was none: always counts
        return True
    codes = pool.deactivation.error_codes
    if codes is not None:
        return failure.status in codes
    retryable = provider.retryable_codes if pool.retry.retryable_codes is None else pool.retry.retryable_codes
    return failure.status in retryable or failure.status in (401, 402, 403) or failure.status >= 500


def record_failure(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    failure: ProviderFailure,
    now: float,
    tester: object | None = None,
) -> list[Change]:
    """Note a failed attempt; what it put on standby. tester: the request, whose failure ends a probation it holds."""
    if failure.status:
        state.provider(provider.name).connection_failures = 0  # it answered
    if failure.kind in _BLAMELESS:
        return []
    model_state = state.model(model.id)
    model_state.failures += 1
    model_state.last_failure = now
    model_state.last_failure_reason = f"{failure.kind}: {failure.message}"
    changes = _blame_provider(state, pool, model, provider, failure, now, tester)
    known = model_state.availability
    gone = failure.kind is FailureKind.MODEL_NOT_FOUND or known.standby
    if gone and stand_by(known, failure.message, failure.kind, pool.recovery, now, tester=tester):
        changes.append(Change("model", False, failure.message, "", model.id, model.provider, known.until))
    if counts(failure, pool, provider):
        changes += _blame_member(state, pool, model, failure, now, tester)
    return changes


def _blame_member(
    state: MeshState, pool: PoolSpec, model: ModelSpec, failure: ProviderFailure, now: float, tester: object | None
) -> list[Change]:
    member = state.member(pool.name, model.id)
    member.failures += 1
    known = member.availability
    if member.failures < pool.deactivation.retry_limit and not known.standby:
        return []
    reason = f"{member.failures} failures in a row, the last: {failure.message}"
    if not stand_by(known, reason, failure.kind, pool.recovery, now, failure.retry_after or 0.0, tester):
        return []
    return [Change("member", False, reason, pool.name, model.id, model.provider, known.until)]


def _blame_provider(
    state: MeshState,
    pool: PoolSpec,
    model: ModelSpec,
    provider: ProviderSpec,
    failure: ProviderFailure,
    now: float,
    tester: object | None,
) -> list[Change]:
    known = state.provider(provider.name)
    reason = ""
    if failure.kind is FailureKind.AUTHENTICATION:
        known.auth_valid = False
        if pool.deactivate_on_auth_failure:
            reason = f"its key is refused: {failure.message}"
    elif failure.kind is FailureKind.PERMISSION:
        # One model may be closed to this key, or one prompt; several say that the key is.
        known.forbidden_models.add(model.id)
        if len(known.forbidden_models) >= FAILING_MODELS and pool.deactivate_on_auth_failure:
            reason = f"{len(known.forbidden_models)} of its models are forbidden: {failure.message}"
    elif failure.kind is FailureKind.CONNECTION:
        known.connection_failures += 1
        if known.connection_failures >= UNREACHABLE_AFTER and pool.deactivate_on_outage:
            reason = f"it cannot be reached: {failure.message}"
    elif failure.kind is FailureKind.SERVER:
        known.failing_models.add(model.id)
        if len(known.failing_models) >= FAILING_MODELS and pool.deactivate_on_outage:
            reason = f"{len(known.failing_models)} of its models fail: {failure.message}"
    if not reason and known.availability.standby and failure.kind not in _OF_ONE_MODEL:
        reason = known.availability.reason  # the probation's request failed
    if not reason or not stand_by(known.availability, reason, failure.kind, pool.recovery, now, tester=tester):
        return []
    return [Change("provider", False, reason, provider=provider.name, until=known.availability.until)]


def record_success(
    state: MeshState, pool: PoolSpec, model: ModelSpec, provider: ProviderSpec, now: float
) -> list[Change]:
    """Note a successful attempt; what it brought back."""
    known = state.provider(provider.name)
    known.connection_failures = 0
    known.failing_models.clear()
    known.forbidden_models.clear()
    known.auth_valid = True
    member = state.member(pool.name, model.id)
    member.failures = 0
    changes: list[Change] = []
    if recover(known.availability, now):
        changes.append(Change("provider", True, "a request succeeded", provider=provider.name))
    if recover(state.model(model.id).availability, now):
        changes.append(Change("model", True, "a request succeeded", model=model.id, provider=model.provider))
    if recover(member.availability, now):
        changes.append(Change("member", True, "a request succeeded", pool.name, model.id, model.provider))
    return changes


def record_health(
    state: MeshState, provider: str, available: bool, error: str, now: float, recover_on_probe: bool = True
) -> list[Change]:
    """Note the health monitor's opinion of a provider."""
    known = state.provider(provider)
    if available:
        known.connection_failures = 0
        known.failing_models.clear()
        known.forbidden_models.clear()
        if recover_on_probe and recover(known.availability, now):
            known.auth_valid = True
            return [Change("provider", True, "it answered a probe", provider=provider)]
        return []
    if known.availability.standby:
        return []
    reason = f"it does not answer probes: {error}"
    stand_by_indefinitely(known.availability, reason, PROBE, now)
    return [Change("provider", False, reason, provider=provider)]
