"""Invariants of standby, whatever happens in any order: a machine fails, succeeds, uses up, probes and waits."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from meshd.core.events.cause import Cause
from meshd.core.events.event_type import EventType
from meshd.routing.availability import consequences, interventions, probes, recovery, used_up
from meshd.routing.availability.state import Change, availabilities
from meshd.routing.budgets.records import Alert
from meshd.routing.decision.stages.maintenance import ends_in
from meshd.routing.standing import INDEFINITELY, Availability
from meshd.routing.table.policies import DeactivationPolicy, RecoveryPolicy
from meshd.routing.table.specs import Allowance, ProviderSpec
from meshd.sdk.provider import FailureKind, QuotaStatus
from tests.support.routing.routing_builders import Mesh, failure, mesh

IDS = ("p.a", "p.b", "q.c", "q.d")
PAUSES = some.sampled_from([0.0, 1.0, 59.0, 60.0, 901.0, 40000.0, 86400.0])
RESETS = some.sampled_from([None, None, "daily", "monthly", "rolling"])

Key = tuple[str, str, str, str]


def _key(change: Change) -> Key:
    return (change.scope, change.pool, change.model, "" if change.model else change.provider)


class Life(RuleBasedStateMachine):
    """One pool of four models at two providers, whose every request has a verdict at once."""

    made: Mesh

    @initialize(
        limit=some.integers(1, 3),
        threshold=some.sampled_from([None, 0.2, 0.9]),
        cooldown=some.sampled_from([0.0, 5.0, 1000.0]),
        resets=RESETS,
        comes_back=some.booleans(),
        operator=some.booleans(),
    )
    def begin(
        self, limit: int, threshold: float | None, cooldown: float, resets: Any, comes_back: bool, operator: bool
    ) -> None:
        self.made = mesh(
            *IDS,
            providers=[ProviderSpec(name, "x", quota_reset=resets) for name in "pq"],
            deactivation=DeactivationPolicy(limit, error_rate_threshold=threshold),
            recovery=RecoveryPolicy(cooldown, 900.0, on_quota_reset=comes_back),
            recover_on_probe=not operator,
        )
        self.away: dict[Key, float] = {}  # who, as was told, until when
        self.failed: set[Key] = set()  # of them those who have to be tested

    # -- what can happen ------------------------------------------------------------------------------

    @rule(pause=PAUSES)
    def time_goes_by(self, pause: float) -> None:
        self.made.now += pause
        back = recovery.wake(self.made.state, self.made.now)
        assert not self.failed & {_key(change) for change in back}, "it failed, and no request has tested it"
        self._heard(back)

    @rule(kind=some.sampled_from([None, *FailureKind]), after=some.sampled_from([None, 1.0, 7200.0]))
    def a_request(self, kind: FailureKind | None, after: float | None) -> None:
        """To the model that the pipeline picks, which then answers or fails."""
        made, request = self.made, object()
        id = made.decide()
        if id is None:
            return
        model = made.table.models[id]
        asked = list(availabilities(made.state, "chat", id, model.provider))
        concerned = [("member", "chat", id, ""), ("model", "", id, ""), ("provider", "", "", model.provider)]
        assert all(self.away.get(key, 0.0) <= made.now for key in concerned), "it rests, and was asked"
        for availability in asked:
            recovery.begin_probation(availability, request)
        self._verdict(id, kind, after, request)
        for availability in asked:
            recovery.end_probation(availability, request)

    @rule(id=some.sampled_from(IDS), kind=some.sampled_from([None, *FailureKind]))
    def a_late_answer(self, id: str, kind: FailureKind | None) -> None:
        """Of a request that was sent before whatever happened since."""
        self._verdict(id, kind, None, object())

    def _verdict(self, id: str, kind: FailureKind | None, after: float | None, request: object) -> None:
        made = self.made
        model = made.table.models[id]
        provider = made.table.providers[model.provider]
        if kind is None:
            self._heard(consequences.record_success(made.state, made.pool, model, provider, made.now))
            return
        failed = failure(kind, retry_after=after)
        changes = consequences.record_failure(made.state, made.pool, model, provider, failed, made.now, request)
        self._heard(changes)
        self.failed |= {_key(change) for change in changes}

    @rule(id=some.sampled_from(IDS), window=some.sampled_from(["day", "stint"]))
    def a_rule_is_used_up(self, id: str, window: Any) -> None:
        self._used_up(Allowance("member", f"chat\0{id}", "requests", window, 5, source="rule"))

    @rule(provider=some.sampled_from("pq"))
    def a_quota_is_used_up(self, provider: str) -> None:
        self._used_up(Allowance("provider", provider, "requests", "day", 5, source="quota"))

    def _used_up(self, allowance: Allowance) -> None:
        made = self.made
        resets_at = None if allowance.window == "stint" else used_up.next_reset("daily", made.now)
        alert = Alert(EventType.LIMIT_EXCEEDED, allowance, 5, 0, resets_at)
        self._heard(used_up.record_used_up(made.state, made.table, alert, made.now))

    @rule(provider=some.sampled_from("pq"), left=some.sampled_from([None, 0.0, 3.0]))
    def a_provider_tells_its_quota(self, provider: str, left: float | None) -> None:
        made = self.made
        spec, status = made.table.providers[provider], QuotaStatus(remaining=left)
        self._heard(used_up.record_quota(made.state, spec, status, made.now))

    @rule(provider=some.sampled_from("pq"), well=some.booleans())
    def a_probe_reports(self, provider: str, well: bool) -> None:
        self._heard(probes.record_health(self.made.state, provider, well, "no answer", self.made.now))

    @rule(id=some.sampled_from(IDS))
    def an_operator_activates(self, id: str) -> None:
        made = self.made
        self._heard(interventions.activate(made.state, made.table, id, made.now))
        model = made.table.models[id]
        for availability in availabilities(made.state, "chat", id, model.provider):
            assert not availability.standby

    # -- and what must hold ---------------------------------------------------------------------------

    def _heard(self, changes: list[Change]) -> None:
        """Reports are true: a listener knows what is set aside."""
        for change in changes:
            key = _key(change)
            assert self._of(key).standby is not change.available
            if change.available:
                self.away.pop(key)
                self.failed.discard(key)
            else:
                self.away[key] = INDEFINITELY if change.until is None else change.until
            if change.scope == "provider" and not change.available:
                held = interventions.hold(self.made.state, self.made.table, change.provider, change.why, self.made.now)
                self._heard(held)

    def _of(self, key: Key) -> Availability:
        scope, pool, model, provider = key
        if scope == "member":
            return self.made.state.member(pool, model).availability
        if scope == "model":
            return self.made.state.model(model).availability
        return self.made.state.provider(provider).availability

    @invariant()
    def nobody_is_away_without_it_being_told(self) -> None:
        state = self.made.state
        standby = {("provider", "", "", name) for name, known in state.providers.items() if known.availability.standby}
        standby |= {("model", "", id, "") for id, known in state.models.items() if known.availability.standby}
        standby |= {("member", pool, id, "") for (pool, id), m in state.members.items() if m.availability.standby}
        assert standby == self.away.keys()

    @invariant()
    def a_pool_with_a_healthy_model_answers(self) -> None:
        made = self.made
        healthy = [
            id
            for id in IDS
            if all(
                recovery.status(availability, made.now) == recovery.ACTIVE
                for availability in availabilities(made.state, "chat", id, made.table.models[id].provider)
            )
        ]
        if healthy:
            assert made.decide() is not None
        assert ends_in(made.pool, made.now, "UTC") is None

    @invariant()
    def what_rests_comes_back_in_bounded_time_or_waits_for_somebody(self) -> None:
        made = self.made
        for id in IDS:
            for availability in availabilities(made.state, "chat", id, made.table.models[id].provider):
                assert availability.tester is None, "no request is under way"
                assert availability.down_for(made.now) >= 0.0
                wait = recovery.recovers_in(availability, made.now)
                if wait is None:
                    held = availability.cause in (Cause.PROBE_FAILED, Cause.HELD)
                    assert held or not made.pool.recovery.on_quota_reset
                    assert availability.until == INDEFINITELY
                else:
                    assert wait <= 32 * 86400.0


Life.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife = Life.TestCase
