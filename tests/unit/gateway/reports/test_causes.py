"""What is told of a model or provider that was set aside or is back, and what the statistics make of it."""

from __future__ import annotations

from meshd.core.events.cause import Cause
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.host import clock
from meshd.routing.budgets.records import Alert
from meshd.routing.table.specs import Allowance, PoolSpec
from meshd.telemetry.statistics.statistics import Statistics
from tests.support.gateway.builder import CHAT, Gateway, model

QUOTA = Allowance("provider", "p", "requests", "day", 2, source="quota")
RULE = Allowance("member", "chat\0p.a", "requests", "day", 2, source="rule")


def gateway() -> Gateway:
    return Gateway(models=[model("p.a")], pools=[PoolSpec("chat", CHAT, ("p.a",))])


def counted(told: list[Event], scope: str) -> dict[str, int]:
    statistics, now = Statistics(), clock.now()
    for event in told:
        statistics.event(event, now)
    return {row["name"]: row["quota_resets"] for row in statistics.query(scope, None, None, now)}


def test_a_quota_that_was_reset_is_counted_as_one() -> None:
    made = gateway()
    made.runtime.publisher.alert([Alert(EventType.LIMIT_EXCEEDED, QUOTA, 2, 0, clock.now() - 1)])
    made.runtime.publisher.wake()
    assert [(event.type, event.cause) for event in made.told_of(Event)] == [
        ("limit_exceeded", None),
        ("provider_deactivated", Cause.LIMIT_USED_UP),
        ("provider_recovered", Cause.QUOTA_RESET),
    ]
    assert counted(made.told_of(Event), "provider") == {"p": 1}


def test_so_is_the_limit_of_a_pool() -> None:
    made = gateway()
    made.runtime.publisher.alert([Alert(EventType.LIMIT_EXCEEDED, RULE, 2, 0, clock.now() - 1)])
    made.runtime.publisher.wake()
    assert [event.cause for event in made.told_of(Event)] == [None, Cause.LIMIT_USED_UP, Cause.QUOTA_RESET]
    assert (counted(made.told_of(Event), "model"), counted(made.told_of(Event), "pool")) == ({"p.a": 1}, {"chat": 1})


def test_another_return_is_none() -> None:
    made = gateway()
    made.router.model_lists.compare("p", {"a"})
    made.runtime.state.model("p.a").deactivated = "tired"
    made.runtime.publisher.alert([Alert(EventType.LIMIT_ALERT, QUOTA, 1, 0, clock.now() - 1)])
    assert made.runtime.state.provider("p").availability.cause is None
    assert counted(made.told_of(Event), "provider") == {}
