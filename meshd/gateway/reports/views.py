"""The router's state as JSON maps for `meshctl` and `client.mesh`.

Owns: the shapes that docs/protocol.md gives for pools, models, providers and allowances.
Must never: change anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from meshd.core.events.answering import ProviderAnswering
from meshd.core.member_key import member_key, split_member_key
from meshd.core.money import dollars
from meshd.core.needs import RequestNeeds
from meshd.core.text.redaction import redact_url
from meshd.gateway.access.rights import Reader
from meshd.gateway.reports.state_publisher import amount_of
from meshd.operations.known import usual
from meshd.routing.availability import recovery
from meshd.routing.availability.recovery import ACTIVE, STANDBY
from meshd.routing.availability.state import ProviderState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.decision.stages.base import ModelStatus
from meshd.routing.rates.headroom import Headroom
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.access import allowed_models, may_use_pool
from meshd.routing.table.specs import ANY_APP, ModelSpec, PoolSpec, ProviderSpec, RoutingTable

_ANY = RequestNeeds(usual())


class View:
    """What one caller sees at one moment. reader: None for the daemon itself."""

    def __init__(self, table: RoutingTable, pipeline: Pipeline, now: float, reader: Reader | None = None) -> None:
        self.table = table
        self.pipeline = pipeline
        self.state = pipeline.state
        self.now = now
        self.app = ANY_APP if reader is None else reader.app
        self._reader = reader
        self._requester = Requester(operator=reader is None or reader.operator)

    def status(self, pool: PoolSpec, model: ModelSpec) -> ModelStatus:
        """Whether the model can be asked in the pool, by the stages that decide it for requests."""
        return self.pipeline.status(self._any_request(pool), model) or ModelStatus(ACTIVE)

    def pool(self, pool: PoolSpec) -> dict[str, Any]:
        allowed = self.app.models
        members = [self._member(pool, id) for id in pool.members if allowed is None or id in allowed]
        standby = sum(member["status"] == STANDBY for member in members)
        known = self.state.pool(pool.name)
        return {
            "name": pool.name,
            "capability": pool.capability,
            "strategy": pool.strategy,
            "active": len(members) - standby,
            "standby": standby,
            "current": known.current if known.current in (member["id"] for member in members) else None,
            "rotations": known.rotations,
            "fallback_pools": [name for name in pool.fallback_pools if self._may_use(name)],
            "models": members,
        }

    def _may_use(self, pool: str) -> bool:
        return pool not in self.table.pools or may_use_pool(self.app, self.table.pools[pool])

    def _shown(self, kind: str, found: dict[str, Any]) -> dict[str, Any]:
        return found if self._reader is None else self._reader.shown(kind, found)

    def _member(self, pool: PoolSpec, id: str) -> dict[str, Any]:
        model, known = self.table.models[id], self.state.member(pool.name, id)
        found = self.status(pool, model)
        member = {
            "id": id,
            "provider": model.provider,
            "status": found.status,
            "reason": found.reason,
            "cause": found.cause,
            "recovers_in": found.recovers if found.status != ACTIVE or found.reason else None,
            "failures": known.failures,
            "error_rate": known.outcomes.rate(self.now).fraction,
            "headroom": self._headroom(pool, model).fraction,
            "in_flight": self.state.model(id).in_flight,
        }
        return self._shown("member", member)

    def model(self, model: ModelSpec) -> dict[str, Any]:
        known = self.state.model(model.id)
        pools = [name for name in self.table.pools_of(model.id) if self.app.pools is None or name in self.app.pools]
        by_itself = self.table.resolve(model.id).pool
        asked_in = [self.table.pools[name] for name in pools] or [by_itself]
        standings = [self.status(pool, model) for pool in asked_in]
        standing = next((found for found in standings if found.status == ACTIVE), standings[0])
        rates = [self.state.member(pool, model.id).outcomes.rate(self.now).fraction for pool in pools]
        delivery = (("synchronous", model.synchronous), ("streaming", model.streaming))
        headroom = self._headroom(by_itself, model)
        found = {
            "id": model.id,
            "provider": model.provider,
            "model": model.upstream,
            "capabilities": list(model.capabilities),
            "features": None if model.features is None else sorted(name for name, has in model.features.items() if has),
            "context_window": model.context_window,
            "max_output_tokens": model.max_output_tokens,
            "max_images": model.max_images,
            "delivery": [mode for mode, has in delivery if has],
            "pools": pools,
            "status": standing.status,
            "reason": standing.reason,
            "cause": standing.cause,
            "deactivated": known.deactivated,
            "in_flight": known.in_flight,
            "requests": known.requests,
            "failures": known.failures,
            "error_rate": max((rate for rate in rates if rate is not None), default=None),
            "tokens_in": known.tokens_in,
            "tokens_out": known.tokens_out,
            "cost": dollars(known.cost),
            "latency": known.total.summary(),
            "first_token": known.first_token.summary(),
            "last_request": known.last_request,
            **self._failures(model),
            "headroom": headroom_map(headroom),
            "limits": self.allowances_of(
                {("model", model.id), *(("member", member_key(pool, model.id)) for pool in pools)}
            ),
        }
        return self._shown("model", found)

    def failing(self, models: Iterable[ModelSpec]) -> list[dict[str, Any]]:
        """The models among these whose recent requests have all failed."""
        return [
            self._shown("failing", {"id": model.id, "provider": model.provider, **self._failures(model)})
            for model in models
            if self.state.model(model.id).failing_since is not None
        ]

    def _failures(self, model: ModelSpec) -> dict[str, Any]:
        known, ahead = self.state.model(model.id), self.state.ahead
        return {
            "failing_since": None if known.failing_since is None else known.failing_since + ahead,
            "last_failure": None if known.last_failure is None else known.last_failure + ahead,
            "last_failure_reason": known.last_failure_reason,
            "last_failure_kind": known.last_failure_kind,
            "last_failure_said": known.last_failure_said,
        }

    def provider(self, name: str, base_url: str | None, details: dict[str, Any]) -> dict[str, Any]:
        spec, known = self.table.providers[name], self.state.provider(name)
        status = recovery.status(known.availability, self.now)
        resting, ahead = self.state.rates.resting_keys(name, self.now), self.state.ahead
        found = {
            "name": name,
            "connector": spec.connector,
            "base_url": redact_url(base_url) if base_url else base_url,
            "enabled": not spec.disabled,
            "available": not spec.disabled and status != STANDBY,
            "auth_valid": known.auth_valid,
            "key": _key(known, spec),
            "answering": known.answering,
            "reason": self._reason_of_provider(spec, known),
            "cause": known.availability.cause,
            "said": known.probe_error if known.availability.why is None else known.availability.why.said,
            "score": round(known.score, 3),
            "last_probe": known.last_probe,
            "latency": known.latency,
            "models": sum(model.provider == name for model in allowed_models(self.app, self.table)),
            "in_flight": known.in_flight,
            "requests": known.requests,
            "cost": dollars(known.cost),
            "keys": max(len(spec.keys), 1),
            "resting_keys": [
                {
                    "id": key.id,
                    "reason": key.reason,
                    "cause": key.why.cause,
                    "until": None if math.isinf(key.until) else key.until + ahead,
                }
                for key in resting
            ],
            "quota": None if known.quota is None else msgspec.structs.asdict(known.quota),
            "limits": self.allowances_of({("provider", name)}),
            "details": details,
        }
        return self._shown("provider", found)

    def _reason_of_provider(self, spec: ProviderSpec, known: ProviderState) -> str:
        if not self._requester.operator:
            return "it is disabled" if spec.disabled else known.availability.reason_for(operator=False)
        return spec.disabled or known.availability.reason or known.probe_error or _nothing_there(known)

    # -- limits ---------------------------------------------------------------------------------------

    def allowances_of(self, scopes: set[tuple[str, str]]) -> list[dict[str, Any]]:
        """The state of the limits of these (scope, name)."""
        return [allowance_map(row) for row in self._standing if (row["scope"], row["name"]) in scopes]

    def allowances(self) -> list[dict[str, Any]]:
        """The state of the limits that apply to the reader."""
        rows = [allowance_map(row) for row in self._standing]
        return rows if self._reader is None else self._reader.limits(rows)

    @cached_property
    def _standing(self) -> list[dict[str, Any]]:
        return self.state.accounts.standing(self.now)

    def _headroom(self, pool: PoolSpec, model: ModelSpec) -> Headroom:
        return self.state.rates.headroom(self._any_request(pool), model)

    def _any_request(self, pool: PoolSpec) -> Question:
        return Question(self.table, pool, _ANY, self.now, self._requester)


def _nothing_there(known: ProviderState) -> str:
    """Whether every request gets a 404: a server without any of the paths is probably not the intended one."""
    if known.answering is ProviderAnswering.NOTHING:
        return "every request gets a 404: nothing is at this path; check base_url"
    return ""


def _key(known: ProviderState, spec: ProviderSpec) -> str:
    """What is known about a provider's key."""
    if spec.disabled:
        return "missing"
    if spec.app_keys:
        return "the app's"
    if not known.auth_valid:
        return "refused" if spec.keyed else "wanted"
    if not spec.keyed:
        return "none needed"
    return "accepted" if known.auth_tried else "not tried"


def headroom_map(headroom: Headroom) -> dict[str, Any]:
    return {"fraction": headroom.fraction, "requests": headroom.requests, "tokens": headroom.tokens}


def allowance_map(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `Accounts.standing`, with money in USD. pool: for a member's limit."""
    pool, model = split_member_key(row["name"]) if row["scope"] == "member" else ("", row["name"])
    return {
        "scope": row["scope"],
        "name": model,
        "pool": pool,
        "measure": row["measure"],
        "window": row["window"],
        "source": row["source"],
        **{
            key: amount_of(row["measure"], row[key]) for key in ("limit", "spent", "reserved", "elsewhere", "remaining")
        },
        "resets_at": row["resets_at"],
        "enforce": row["enforce"],
        "alert_threshold": row["alert_threshold"],
    }
