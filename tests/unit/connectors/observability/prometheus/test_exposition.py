"""Prometheus' text format, as its own parser reads it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshd.connectors.observability.prometheus.exposition import text_of
from meshd.core.events.records import Attempt, Outcome
from meshd.sdk.metrics import Distribution, Family
from meshd.telemetry.metrics.metrics import Metrics


def parsed(*families: Family) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text_of(families))}


@pytest.mark.parametrize(
    ("name", "kind", "unit", "shown"),
    [
        ("gen_ai.client.token.usage", "gauge", "{token}", "gen_ai_client_token_usage"),
        ("gen_ai.server.time_to_first_token", "gauge", "s", "gen_ai_server_time_to_first_token_seconds"),
        ("meshd.cost", "counter", "USD", "meshd_cost_usd_total"),
        ("process.cpu", "counter", "s", "process_cpu_seconds_total"),
        ("process.resident_memory", "gauge", "By", "process_resident_memory_bytes"),
    ],
)
def test_names_follow_opentelemetrys_rules(name: str, kind: Any, unit: str, shown: str) -> None:
    text = text_of([Family(name, kind, unit, "Help.", (), (((), 1),))])
    assert text.splitlines()[-1] == f"{shown} 1"


def test_labels_are_escaped() -> None:
    hostile = 'a"b\\c\nd} 1\nfake 2'
    found = parsed(Family("m", "gauge", "1", "Two\nlines \\ here", ("meshd.model",), (((hostile,), 1),)))
    assert list(found) == ["m"]
    assert found["m"].samples[0].labels == {"meshd_model": hostile}
    assert found["m"].documentation == "Two\nlines \\ here"


def test_a_histogram_is_cumulative() -> None:
    family = Family("h", "histogram", "s", "H.", ("a",), ((("x",), Distribution((1, 0, 2, 3), 9.5)),), (0.5, 1, 2.5))
    samples = parsed(family)["h_seconds"].samples
    assert [each.value for each in samples if each.name.endswith("_bucket")] == [1, 1, 3, 6]
    assert [each.labels["le"] for each in samples if "le" in each.labels] == ["0.5", "1", "2.5", "+Inf"]
    assert {each.name: each.value for each in samples if "le" not in each.labels} == {
        "h_seconds_sum": 9.5,
        "h_seconds_count": 6,
    }


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e300, 10**30, 0.1, -0.0])
def test_any_number_is_read_back(value: float) -> None:
    (found,) = parsed(Family("m", "gauge", "1", "M.", (), (((), value),)))["m"].samples
    assert found.value == value or (math.isnan(value) and math.isnan(found.value))


def test_ten_thousand_series_are_read_back() -> None:
    metrics = Metrics()
    for number in range(110):
        tried = Attempt(f"p.m{number}", "p", True, duration=0.1, tokens_in=5, tokens_out=9)
        metrics.count(
            Outcome("ab", 1.0, "chat.completions", "x", 200, pool="chat", model=tried.model, provider="p",
                    attempts=(tried,), total_time=0.2, first_token_time=0.05, tokens_out=9)
        )  # fmt: skip
    families = parsed(*metrics.families())
    assert sum(len(family.samples) for family in families.values()) > 10_000
