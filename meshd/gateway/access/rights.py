"""What each caller may see of the mesh's answers.

Owns: the only list of what operators alone see. An operator is root, the daemon's own user, or an app with
`admin: true`; every other caller sees what its rules allow, and only its own usage.
Must never: change anything, or ask another actor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from meshd.core.caller import Caller
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.gateway.access.app_identity import AppMatcher, Identity
from meshd.routing.table.access import allowed_models, allowed_pools
from meshd.routing.table.specs import ANY_APP, AppSpec, RoutingTable

OF_OPERATORS: Mapping[str, frozenset[str]] = {
    "status": frozenset(
        {
            "pid", "sockets", "listen", "http", "config", "state", "actors", "in_flight", "peers", "last_reload",
            "spend_today", "requests", "malformed", "journal", "sinks", "notes", "lacks",
            "secrets",
        }
    ),
    "provider": frozenset(
        {
            "base_url", "auth_valid", "key", "said", "last_probe", "in_flight", "requests", "cost", "keys",
            "resting_keys", "quota", "details",
        }
    ),
    "model": frozenset(
        {
            "in_flight", "requests", "failures", "tokens_in", "tokens_out", "cost", "last_request", "last_failure",
            "last_failure_reason", "last_failure_said",
        }
    ),
    "member": frozenset({"in_flight", "failures"}),
    "failing": frozenset({"last_failure", "last_failure_reason", "last_failure_said"}),
    "app": frozenset({"waiting", "last_seen"}),
}  # fmt: skip
"""Keys of an answer's maps: secrets' neighbours, what other users do, and a provider's words to them."""

_OF_STANDING = frozenset(
    {
        EventType.MODEL_ACTIVATED,
        EventType.MODEL_DEACTIVATED,
        EventType.MODEL_DEPRECATED,
        EventType.MODEL_ROTATED,
        EventType.POOL_MEMBERSHIP_CHANGED,
        EventType.PROVIDER_DEACTIVATED,
        EventType.PROVIDER_RECOVERED,
    }
)
"""Changes of models, pools and providers: for every app that may use them, without details."""
_OF_LIMITS = frozenset(
    {EventType.BUDGET_ALERT, EventType.BUDGET_EXCEEDED, EventType.LIMIT_ALERT, EventType.LIMIT_EXCEEDED}
)
"""For the apps to which the limit applies."""


class Reader(msgspec.Struct, frozen=True):
    """One caller. app: the rules that filter lists."""

    caller: Caller
    identity: Identity
    operator: bool
    table: RoutingTable

    @classmethod
    def of(cls, caller: Caller, apps: AppMatcher, table: RoutingTable) -> Reader:
        return cls(caller, apps.identify(caller), apps.is_admin(caller), table)

    @property
    def app(self) -> AppSpec:
        return ANY_APP if self.operator else self.identity.spec

    def shown(self, kind: str, found: dict[str, Any]) -> dict[str, Any]:
        """A map of an answer, without what is for operators."""
        if self.operator:
            return found
        hidden = OF_OPERATORS[kind]
        return {key: value for key, value in found.items() if key not in hidden}

    def owns(self, uid: int, account: str) -> bool:
        """Whether this is about its own user, or its own app where the kernel names no user."""
        if self.operator or uid >= 0:
            return self.operator or uid == self.caller.uid
        return self.caller.uid < 0 and account == self.identity.account

    @property
    def own_use(self) -> dict[str, str]:
        """The dimensions of statistics that single out its own use; empty for an operator. The label alone would not,
        since a program chooses its name."""
        return {} if self.operator else {"app": self.identity.label, "user": self.caller.user}

    # -- what it may use ------------------------------------------------------------------------------

    def pools(self) -> set[str]:
        return {pool.name for pool in allowed_pools(self.app, self.table)}

    def models(self) -> set[str]:
        return {model.id for model in allowed_models(self.app, self.table)}

    def providers(self) -> list[str]:
        """In the table's order."""
        if self.app.pools is None and self.app.models is None:
            return list(self.table.providers)
        used = {model.provider for model in allowed_models(self.app, self.table)}
        return [name for name in self.table.providers if name in used]

    def _may_use(self, ids: Mapping[str, str]) -> bool:
        usable = {"pool": self.pools, "model": self.models, "provider": self.providers}
        return all(scope in usable and value in usable[scope]() for scope, value in ids.items())

    def limits(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of `views.allowance_map` that apply to it."""
        return [row for row in rows if self._is_limited_by(row)]

    def _is_limited_by(self, row: Mapping[str, Any]) -> bool:
        if self.operator:
            return True
        if row["scope"] == "app":
            return bool(row["name"] == self.identity.account)
        if row["scope"] == "member":
            return self._may_use({"pool": row["pool"], "model": row["name"]})
        return self._may_use({row["scope"]: row["name"]})

    # -- events ---------------------------------------------------------------------------------------

    def event(self, event: Event) -> dict[str, Any] | None:
        """The event as it may see it; None if it may not."""
        found: dict[str, Any] = msgspec.to_builtins(event)
        del found["uid"], found["account"]
        if self.operator:
            return found
        if event.type in _OF_LIMITS:
            account, of = event.ids.get("app"), {key: value for key, value in event.ids.items() if key != "app"}
            return found if account in (None, self.identity.account) and self._may_use(of) else None
        if event.type in _OF_STANDING:
            kept = {"until": event.changed["until"]} if "until" in event.changed else {}
            return {**found, "reason": "", "changed": kept} if self._may_use(event.ids) else None
        return found if event.account and self.owns(event.uid, event.account) else None
