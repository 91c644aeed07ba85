"""Metrics: what is counted under which labels, and that their number has a bound."""

from __future__ import annotations

from typing import Any

from meshd.core.events.event_type import EventType
from meshd.core.events.records import Attempt, Event, Outcome
from meshd.sdk.metrics import Distribution, Family
from meshd.telemetry.metrics.metrics import OTHERS, Metrics
from meshd.telemetry.metrics.names import Names


def outcome(**changes: Any) -> Outcome:
    facts: dict[str, Any] = {
        "request_id": "ab", "at": 1.0, "operation": "chat.completions", "asked": "chat", "status": 200,
        "pool": "chat", "model": "p.m", "provider": "p", "account": "default", "total_time": 0.5,
    }  # fmt: skip
    return Outcome(**facts | changes)


def attempt(ok: bool = True, **changes: Any) -> Attempt:
    return Attempt(**{"model": "p.m", "provider": "p", "ok": ok, "duration": 0.3, **changes})


def read(metrics: Metrics) -> dict[str, Family]:
    return {family.name: family for family in metrics.families()}


def rows(metrics: Metrics, name: str) -> dict[tuple[str, ...], Any]:
    return dict(read(metrics)[name].rows)


def test_attempts_are_counted_apart_from_the_request() -> None:
    metrics = Metrics()
    failed = attempt(False, model="q.m", provider="q", reason="rate_limit", duration=0.02)
    answered = attempt(tokens_in=5, tokens_out=7)
    metrics.count(outcome(attempts=(failed, answered), tokens_in=5, tokens_out=7, rotations=1))
    attempts = rows(metrics, "gen_ai.client.operation.duration")
    assert {(labels[3], labels[5]): sum(value.counts) for labels, value in attempts.items()} == {
        ("q", "rate_limit"): 1,
        ("p", ""): 1,
    }
    ((labels, whole),) = rows(metrics, "gen_ai.server.request.duration").items()
    assert labels == ("chat", "p", "p.m", "p", "p.m", "chat", "")
    assert (sum(whole.counts), whole.total) == (1, 0.5)
    assert rows(metrics, "meshd.rotations") == {("chat",): 1}
    assert {labels[-1]: value for labels, value in rows(metrics, "meshd.tokens").items()} == {
        "input": 5, "output": 7, "cached": 0,
    }  # fmt: skip


def test_a_value_at_a_bound_is_within_it() -> None:
    metrics = Metrics()
    metrics.count(outcome(total_time=0.01))
    metrics.count(outcome(total_time=1000.0))
    ((_, found),) = rows(metrics, "gen_ai.server.request.duration").items()
    assert isinstance(found, Distribution)
    assert (found.counts[0], found.counts[-1]) == (1, 1)


def test_well_known_names_are_opentelemetrys() -> None:
    metrics = Metrics()
    metrics.names = Names({"p": "gcp.gemini"}, {"p.m": "gemini-3"})
    metrics.count(outcome(operation="completions", attempts=(attempt(),)))
    ((labels, _),) = rows(metrics, "gen_ai.client.operation.duration").items()
    assert labels == ("text_completion", "gcp.gemini", "gemini-3", "p", "p.m", "")


def test_streams_have_a_first_token_and_a_pace() -> None:
    metrics = Metrics()
    metrics.count(outcome(first_token_time=0.1, tokens_out=5, total_time=0.5))
    metrics.count(outcome(first_token_time=0.1, status=502))  # it broke: its times do not count
    (first,) = rows(metrics, "gen_ai.server.time_to_first_token").values()
    (pace,) = rows(metrics, "gen_ai.server.time_per_output_token").values()
    assert (sum(first.counts), round(pace.total, 6)) == (1, 0.1)


def test_money_and_units_are_summed() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.count(outcome(cost=1_500_000_000, units={"images": 3}))
    assert list(rows(metrics, "meshd.cost").values()) == [3.0]
    assert rows(metrics, "meshd.units") == {("default", "chat", "p", "p.m", "images"): 6}


def test_an_answer_of_the_cache_is_no_attempt() -> None:
    metrics = Metrics()
    metrics.count(outcome(cached=True))
    assert not rows(metrics, "gen_ai.client.operation.duration")
    assert rows(metrics, "meshd.cache.hits") == {("chat",): 1}


def test_the_number_of_series_has_a_bound() -> None:
    metrics = Metrics(most=10)
    for number in range(1000):
        model = f"p.m{number}"
        metrics.count(outcome(model=model, attempts=(attempt(model=model),)))
    requests, attempts = rows(metrics, "meshd.requests"), rows(metrics, "gen_ai.client.operation.duration")
    assert len(requests) == len(attempts) == 11  # and one for all others
    assert sum(requests.values()) == sum(sum(each.counts) for each in attempts.values()) == 1000
    assert requests[OTHERS, OTHERS, OTHERS, OTHERS, OTHERS, ""] == 990


def test_names_that_programs_choose_are_no_labels() -> None:
    metrics = Metrics()
    metrics.count(outcome(app="CHOSEN", label="CHOSEN", exe="CHOSEN", unit="CHOSEN", user="CHOSEN", asked="CHOSEN"))
    assert "CHOSEN" not in repr(tuple(metrics.families()))


def test_events_are_counted_by_type() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.event(Event(EventType.CONFIG_REJECTED, 1, ids={"model": "CHOSEN"}))
    assert rows(metrics, "meshd.events") == {("config_rejected",): 3}
