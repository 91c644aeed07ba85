"""Publishes changes of the router's state, and saves what has to survive a restart.

Owns: the events of availability and limits, which counters changed since they were saved, and restoring what an earlier
run saved.
Must never: decide that something is available (`consequences.py` and `recovery.py` of `routing/availability`), or touch
a disk: the state actor does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from meshd import messages
from meshd.core.events.cause import Cause
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event, Outcome
from meshd.core.member_key import member_key, split_member_key
from meshd.core.money import dollars
from meshd.gateway.actors import Tell
from meshd.gateway.waiting_room import WaitingRoom
from meshd.host import clock
from meshd.routing.availability import interventions, recovery, saved, used_up
from meshd.routing.availability.state import Change, MeshState
from meshd.routing.budgets.records import Alert
from meshd.routing.standing import INDEFINITELY
from meshd.routing.table.specs import RoutingTable
from meshd.spend.ledger import usage_rows

_LONG = 10.0  # s: a shorter pause is saved with the counters
_JUST = 1.0  # s: the attempt that just ended asked for it


class StatePublisher:
    """For one router. room: told when a model may be free again."""

    def __init__(self, tell: Tell, state: MeshState, room: WaitingRoom) -> None:
        self._tell = tell
        self._state = state
        self._room = room
        self._table = RoutingTable.empty()
        self._models: set[str] = set()  # those whose counters changed
        self._providers: set[str] = set()
        self._members: dict[str, dict[str, Any] | None] = {}  # members as they were last saved
        self._keys: dict[str, list[dict[str, Any]]] = {}

    def configure(self, table: RoutingTable) -> None:
        """The table in use from now on."""
        self._table = table

    def event(
        self,
        type: EventType,
        severity: str = "info",
        ids: dict[str, str] | None = None,
        reason: str = "",
        changed: dict[str, Any] | None = None,
        cause: Cause | None = None,
        owner: tuple[int, str] = (-1, ""),
    ) -> None:
        """owner: uid and account of the caller that it is about."""
        self._tell("telemetry", Event(type, time.time_ns(), severity, ids or {}, reason, changed or {}, cause, *owner))

    # -- availability ---------------------------------------------------------------------------------

    def changed(self, changes: list[Change]) -> None:
        """Publish what became available or unavailable, and save it for a restart."""
        for change in changes:
            self._publish(change)
        for change in changes:
            if change.scope == "provider" and not change.available:
                for held in self._held(change):
                    self._publish(held)
        if any(change.available for change in changes):
            self._room.freed()  # requests that wait for it need not wait for the next check

    def _held(self, change: Change) -> list[Change]:
        """Pools that wait for an operator before they use a failed provider again. A used-up quota is not a failure."""
        if not self._state.provider(change.provider).availability.probation:
            return []
        return interventions.hold(self._state, self._table, change.provider, change.why, clock.now())

    def _publish(self, change: Change) -> None:
        state = self._state
        ids = {key: value for key in ("pool", "model", "provider") if (value := getattr(change, key))}
        if change.scope == "provider":
            kind = EventType.PROVIDER_RECOVERED if change.available else EventType.PROVIDER_DEACTIVATED
            value = self._wall(saved.dump_provider(state.provider(change.provider)))
            self._tell("state", messages.StateChanged("provider", change.provider, value))
        else:
            kind = EventType.MODEL_ACTIVATED if change.available else EventType.MODEL_DEACTIVATED
            if change.scope == "model":
                self.save_model(change.model)
            else:
                member = self._member(change.pool, change.model)
                self._tell("state", messages.StateChanged("member", member_key(change.pool, change.model), member))
        until = None if change.until in (None, INDEFINITELY) else change.until + state.ahead
        severity = "info" if change.available else "warning"
        self.event(kind, severity, ids, change.reason, {"until": until} if until else {}, change.why.cause)

    def _wall(self, value: dict[str, Any]) -> dict[str, Any]:
        """In the form saved for a later run, with wall-clock times."""
        return saved.by_the_wall_clock(value, self._state.ahead)

    def _member(self, pool: str, model: str) -> dict[str, Any] | None:
        kept = saved.dump_member(self._state.member(pool, model))
        return None if kept is None else self._wall(kept)

    def wake(self) -> None:
        """Bring back those that come back without a test, even if no request asks for them."""
        self.changed(recovery.wake(self._state, clock.now()))

    # -- limits ---------------------------------------------------------------------------------------

    def settled(self) -> None:
        """An attempt ended: waiting requests may have room, and an allowance may be used up."""
        self._take_alerts()
        self._room.freed()

    def _take_alerts(self) -> None:
        if alerts := self._state.accounts.take_alerts():
            self.alert(alerts)

    def alert(self, alerts: Iterable[Alert]) -> None:
        """Report limits that are near or reached. A used-up allowance sets its model or provider aside."""
        now = clock.now()
        for alert in alerts:
            allowance = alert.allowance
            ids = {allowance.scope: allowance.name}
            if allowance.scope == "member":
                ids["pool"], ids["model"] = split_member_key(ids.pop("member"))
            self.event(alert.type, "warning", ids, alert.reason, alert_map(alert))
            self.changed(used_up.record_used_up(self._state, self._table, alert, now))

    # -- what is saved --------------------------------------------------------------------------------

    def note_outcome(self, outcome: Outcome) -> None:
        """Mark the counters that a request changed, to be saved at the next turn."""
        for attempt in outcome.attempts:
            self.used(attempt.model, attempt.provider)
            if not attempt.ok:
                self._save_what_was_asked(attempt.model)
        self._take_alerts()  # of a refusal

    def _save_what_was_asked(self, model: str) -> None:
        """A long pause that a provider asked for is saved at once: a restart must not end it."""
        now = clock.now()
        alone = self._state.rates.left_alone(model, now)
        if alone is not None and alone.until - now >= _LONG and alone.since + _JUST >= now:
            self.save_model(model, durable=True)

    def used(self, model: str, provider: str) -> None:
        self._models.add(model)
        self._providers.add(provider)

    def save_model(self, model: str, *, durable: bool = False) -> None:
        """durable: write at once, as for an operator's decision."""
        state = self._state
        value = self._wall(saved.dump_model(state.model(model)))
        alone = state.rates.left_alone(model, clock.now())
        if alone is not None:
            value = {**value, "left_alone": alone.dump(state.ahead)}
        self._tell("state", messages.StateChanged("model", model, value, durable))

    def save_counters(self) -> None:
        """Those that changed since the last call."""
        tell, state = self._tell, self._state
        for model in self._models:
            self.save_model(model)
        if self._models:
            self._save_members()
        for provider in self._providers:
            value = self._wall(saved.dump_provider(state.provider(provider)))
            tell("state", messages.StateChanged("provider", provider, value))
        self._models.clear()
        self._providers.clear()
        self._save_keys()

    def _save_members(self) -> None:
        for pool, model in self._state.members:
            if model not in self._models:
                continue
            key, kept = member_key(pool, model), self._member(pool, model)
            if kept != self._members.get(key):
                self._members[key] = kept
                self._tell("state", messages.StateChanged("member", key, kept))

    def _save_keys(self) -> None:
        """Save the keys that are set aside, by fingerprint: the keys themselves are only in memory."""
        state = self._state
        resting = state.rates.dump_keys(clock.now(), state.ahead)
        for provider in {*resting, *self._keys}:
            if resting.get(provider) != self._keys.get(provider):
                value = {"resting": resting[provider]} if provider in resting else None
                self._tell("state", messages.StateChanged("keys", provider, value))
        self._keys = resting

    # -- what is restored -----------------------------------------------------------------------------

    def restore(self, restored: messages.RestoredState) -> None:
        """Continue where an earlier run ended."""
        now, state, tables = clock.now(), self._state, restored.tables
        for key, value in tables.get("member", {}).items():
            pool, model = split_member_key(key)
            state.members[pool, model] = saved.load_member(value, now)
            self._members[key] = value
        for key, value in tables.get("model", {}).items():
            state.models[key] = saved.load_model(value, now)
            state.rates.load_left_alone(key, value.get("left_alone"), now)
        for key, value in tables.get("provider", {}).items():
            state.providers[key] = saved.load_provider(value, now)
        for key, value in tables.get("pool", {}).items():
            state.pool(key).current = value.get("current")
        resting = {key: value.get("resting", []) for key, value in tables.get("keys", {}).items()}
        state.rates.load_keys(resting, now)
        self._keys |= resting
        use = state.accounts.add if restored.late else state.accounts.restore
        use(usage_rows(tables.get("usage", {})), now)
        state.accounts.unknown = restored.unread
        state.wake_at = 0.0  # a cooldown may have ended in the meantime


def alert_map(alert: Alert) -> dict[str, Any]:
    """The details of an alert's event."""
    allowance = alert.allowance
    amounts = {"limit": allowance.limit, "spent": alert.spent, "reserved": alert.reserved}
    return {
        "measure": allowance.measure,
        "window": allowance.window,
        "source": allowance.source,
        **{key: amount_of(allowance.measure, amount) for key, amount in amounts.items()},
        "resets_at": alert.resets_at,
        "enforce": allowance.enforce,
    }


def amount_of(measure: str, amount: int) -> float | int:
    """Money in USD, counts as they are."""
    return dollars(amount) if measure == "cost" else amount
