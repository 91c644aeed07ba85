"""The part of the router's state that survives a restart: written as maps, and read again.

Must never: let a value keep the daemon from starting, whatever another version or a person wrote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from meshd.core.events.cause import dump_why, failure_kind, load_why
from meshd.routing.availability.latencies import Latencies
from meshd.routing.availability.state import MemberState, ModelState, ProviderState
from meshd.routing.request.features import load_refused
from meshd.routing.standing import INDEFINITELY, Availability

_LONGEST_REST = 32 * 86400.0  # s: to the next month


def dump_availability(availability: Availability) -> dict[str, Any] | None:
    """None when there is nothing worth keeping."""
    if not availability.standby and not availability.relapses and not availability.standby_events:
        return None
    return {
        "standby": availability.standby,
        "until": None if availability.until == INDEFINITELY else availability.until,
        "since": availability.since,
        "why": dump_why(availability.why),
        "probation": availability.probation,
        "relapses": availability.relapses,
        "recovered_at": availability.recovered_at,
        "standby_events": availability.standby_events,
        "quota_resets": availability.quota_resets,
        "downtime": availability.downtime,
    }


def by_the_wall_clock(value: dict[str, Any], ahead: float) -> dict[str, Any]:
    """What was dumped, with its times converted to the wall clock."""
    if not ahead:
        return value
    moved = dict(value)
    rest = moved.get("availability")
    if rest is not None:
        moved["availability"] = {**rest, **{key: rest[key] + ahead for key in _MOMENTS if rest.get(key)}}
    for name in ("last_failure", "failing_since"):
        if moved.get(name) is not None:
            moved[name] += ahead
    if moved.get("refused"):
        moved["refused"] = {feature: at + ahead for feature, at in moved["refused"].items()}
    return moved


_MOMENTS = ("until", "since", "recovered_at")


def load_availability(saved: Mapping[str, Any], now: float) -> Availability:
    """A saved availability. Its standby never lasts longer from now than was meant, even if the clock was set."""
    since = _number(saved, "since", now)
    until = INDEFINITELY if saved.get("until") is None else _number(saved, "until", now)
    if until != INDEFINITELY:
        until = min(until, now + min(max(until - since, 0.0), _LONGEST_REST))
    return Availability(
        standby=bool(saved.get("standby")),
        until=until,
        since=min(since, now),
        why=load_why(saved),
        probation=bool(saved.get("probation", True)),
        relapses=_count(saved, "relapses"),
        recovered_at=min(_number(saved, "recovered_at"), now),
        standby_events=_count(saved, "standby_events"),
        quota_resets=_count(saved, "quota_resets"),
        downtime=max(_number(saved, "downtime"), 0.0),
    )


def _saved_availability(saved: Mapping[str, Any], now: float) -> Availability:
    kept = saved.get("availability")
    return load_availability(kept, now) if isinstance(kept, Mapping) else Availability()


def _number(saved: Mapping[str, Any], key: str, default: float = 0.0) -> float:
    """A value written by another version, or by hand, must not keep the daemon from starting."""
    value = saved.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return default
    return float(value)


def _count(saved: Mapping[str, Any], key: str) -> int:
    return max(int(_number(saved, key)), 0)


def _moment(saved: Mapping[str, Any], key: str) -> float | None:
    return None if saved.get(key) is None else _number(saved, key)


def dump_member(member: MemberState) -> dict[str, Any] | None:
    kept = dump_availability(member.availability)
    if kept is None and not member.failures:
        return None
    return {"availability": kept, "failures": member.failures}


def load_member(saved: Mapping[str, Any], now: float) -> MemberState:
    return MemberState(_saved_availability(saved, now), _count(saved, "failures"))


def dump_model(model: ModelState) -> dict[str, Any]:
    return {
        "availability": dump_availability(model.availability),
        "deactivated": model.deactivated,
        "requests": model.requests,
        "failures": model.failures,
        "tokens_in": model.tokens_in,
        "tokens_out": model.tokens_out,
        "cost": model.cost,
        "total": model.total.dump(),
        "first_token": model.first_token.dump(),
        "last_request": model.last_request,
        "last_failure": model.last_failure,
        "last_failure_kind": model.last_failure_kind,
        "last_failure_said": model.last_failure_said,
        "failing_since": model.failing_since,
        "refused": dict(model.refused),
    }


def load_model(saved: Mapping[str, Any], now: float) -> ModelState:
    deactivated = saved.get("deactivated")
    return ModelState(
        availability=_saved_availability(saved, now),
        deactivated=None if deactivated is None else str(deactivated),
        requests=_count(saved, "requests"),
        failures=_count(saved, "failures"),
        tokens_in=_count(saved, "tokens_in"),
        tokens_out=_count(saved, "tokens_out"),
        cost=_count(saved, "cost"),
        total=Latencies.load(saved.get("total")),
        first_token=Latencies.load(saved.get("first_token")),
        last_request=_moment(saved, "last_request"),
        last_failure=_moment(saved, "last_failure"),
        last_failure_kind=failure_kind(saved.get("last_failure_kind")),
        # Earlier versions wrote both as one text.
        last_failure_said=str(saved.get("last_failure_said") or saved.get("last_failure_reason") or ""),
        failing_since=_moment(saved, "failing_since"),
        refused=load_refused(saved.get("refused"), now),
    )


def dump_provider(provider: ProviderState) -> dict[str, Any]:
    return {
        "availability": dump_availability(provider.availability),
        "auth_valid": provider.auth_valid,
        "requests": provider.requests,
        "cost": provider.cost,
    }


def load_provider(saved: Mapping[str, Any], now: float) -> ProviderState:
    return ProviderState(
        availability=_saved_availability(saved, now),
        auth_valid=bool(saved.get("auth_valid", True)),
        requests=_count(saved, "requests"),
        cost=_count(saved, "cost"),
    )
