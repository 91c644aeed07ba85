"""Exports of agents: what is found in them, in which forms, within which bounds, and counted once."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from meshd.catalogue.known import load_models
from meshd.core.events.records import Outcome
from meshd.core.prices import Pricing
from meshd.telemetry.otlp_in import export, once, wire
from meshd.telemetry.otlp_in.export import TooLarge
from meshd.telemetry.otlp_in.once import Once
from meshd.telemetry.otlp_in.usage import uses
from meshd.telemetry.statistics.outside import OutsideUse
from tests.support.telemetry.otlp import claude_event, codex_event, logs, sums

MESSAGES = {"logs": ExportLogsServiceRequest, "metrics": ExportMetricsServiceRequest}


def read(told: Any, signal: str = "logs", form: str = "json") -> list[OutsideUse]:
    """By the form that is given, or as OpenTelemetry's own library writes it."""
    body = json.dumps(told).encode() if form == "json" else ParseDict(told, MESSAGES[signal]()).SerializeToString()
    return uses(export.read(body, signal, json=form == "json", gzip=False), signal)


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_what_agents_tell(form: str) -> None:
    told = logs(
        claude_event(), {"event.name": "tool_result"}, body="claude_code.api_request", **{"mesh.project": "web"}
    )
    one, other = read(told, form=form)
    assert one == OutsideUse("claude-code", "claude-opus-4-5", "s1", "", "", "web", 1, 130, 7, 100, 250_000_000, "logs")
    assert other.counts == (1, 0, 0, 0, 0)
    [codex] = read(logs(codex_event(), codex_event(**{"event.kind": "response.created"})), form=form)
    assert codex == OutsideUse("codex", "gpt-5-codex", "c1", "", "", "", 1, 120, 8, 100, codex.cost, "logs")
    gemini = {"event.name": "gemini_cli.api_response", "session.id": "g", "model": "gemini-3-pro"}
    gemini |= {"input_token_count": 50, "output_token_count": 5, "thoughts_token_count": 3}
    assert read(logs(gemini), form=form)[0].counts[:4] == (1, 50, 8, 0)
    assert read(logs({"event.name": "unknown", "input_tokens": 5}), form=form) == []


def test_costs_that_an_agent_does_not_tell_are_estimated_by_the_catalogues_prices() -> None:
    row = next(row for row in load_models("openai.llm.v1") if row.pricing is not None and "text" not in row.id)
    assert row.pricing is not None
    expected = Pricing.of(row.pricing, row.pricing_of_long_prompts).cost(120, 8, 100)
    assert expected > 0
    for model in (row.id, f"{row.id}-2026-01-31"):
        [use] = read(logs(codex_event(model=model)))
        assert use.cost == expected
    [use] = read(logs(codex_event(model="unknown")))
    assert use.cost == 0


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("gpt-5-codex", 20 * 1250 + 100 * 125 + 8 * 10_000),
        ("gpt-5.1-codex-max", 20 * 1250 + 100 * 125 + 8 * 10_000),
        ("gpt-5.3-codex", 20 * 1750 + 100 * 175 + 8 * 14_000),
        ("codex-mini-latest", 20 * 1500 + 100 * 375 + 8 * 6000),
    ],
)
def test_what_codex_used_of_its_own_models_has_a_price(model: str, cost: int) -> None:
    [use] = read(logs(codex_event(model=model)))
    assert use.cost == cost


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_counters(form: str) -> None:
    of = {"session.id": "s1", "model": "claude-opus-4-5"}
    told = sums("claude_code.token.usage", [(5.0, {**of, "type": "input"}), (30.0, {**of, "type": "cacheRead"})])
    assert [use.counts for use in read(told, "metrics", form)] == [(0, 5, 0, 0, 0), (0, 30, 0, 30, 0)]
    [cost] = read(sums("claude_code.cost.usage", [(0.5, of)]), "metrics", form)
    assert (cost.counts, cost.series) == ((0, 0, 0, 0, 500_000_000), "")
    [total] = read(sums("claude_code.cost.usage", [(0.5, of)], temporality=2, began=7 * 10**9), "metrics", form)
    assert total.series
    assert total.began == 7.0


@pytest.mark.parametrize("figure", ["a lot", -5, 1e300, True, "nan", "inf", ""])
def test_no_figure_is_negative_or_endless(figure: Any) -> None:
    [use] = read(logs(claude_event(cost_usd=figure, input_tokens=figure), body="claude_code.api_request"))
    assert all(0 <= count < 2**62 for count in use.counts)


@pytest.mark.parametrize("figure", ["1e400", "inf", 1e308, "nan", -1, 10**400])
def test_what_cannot_be_meant_is_not_counted(figure: Any) -> None:
    [use] = read(logs(claude_event(cost_usd=str(figure), input_tokens=str(figure)), body="claude_code.api_request"))
    assert use.cost == 0
    assert use.tokens_in < 200


def test_tokens_from_caches_are_no_more_than_all() -> None:
    [use] = read(logs(codex_event(input_token_count=10, cached_token_count=1000)))
    assert (use.tokens_in, use.tokens_cached) == (10, 10)


def test_names_are_short_and_harmless() -> None:
    [use] = read(logs(claude_event("\x1b[31m" + "s" * 500, model=5.5), body="claude_code.api_request"))
    assert use.session.startswith("[31ms")
    assert len(use.session) == 64
    assert use.model == ""


# -- forms and bounds -----------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for signal in wire.EXPORTS:
        for as_json in (True, False):
            with contextlib.suppress(ValueError):
                uses(export.read(data, signal, json=as_json, gzip=False), signal)


@given(st.data())
def test_broken_messages_are_read_or_refused(data: Any) -> None:
    whole = bytearray(ParseDict(logs(claude_event(), codex_event()), MESSAGES["logs"]()).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        uses(export.read(bytes(whole), "logs", json=False, gzip=False), "logs")


def test_compressed_bodies_are_bounded_after_they_are_unpacked() -> None:
    bomb = gzip.compress(b" " * (export.MOST_BYTES + 1))
    with pytest.raises(TooLarge):
        export.read(bomb, "logs", json=True, gzip=True)
    with pytest.raises(TooLarge):
        export.read(b" " * (export.MOST_BYTES + 1), "logs", json=True, gzip=False)
    for broken in (b"plain", gzip.compress(b"{}")[:-9], zlib.compress(b"{}")):
        with pytest.raises(ValueError, match="compress"):
            export.read(broken, "logs", json=True, gzip=True)
    assert export.read(gzip.compress(b"{}"), "logs", json=True, gzip=True).resources == []


def test_a_body_of_tiny_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        wire.read(b"\x10\x00" * (wire.MOST_FIELDS + 1), "logs")


# -- once -----------------------------------------------------------------------------------------------

USE = OutsideUse("claude-code", "m", "s1", "claude", "ann", "", 1, 10, 5, 0, 100, "logs")


def served(session: str, user: str = "ann") -> Outcome:
    return Outcome("00", 0.0, "chat", "m", 200, user=user, session=session)


def test_what_the_mesh_served_is_not_counted_again() -> None:
    counted = Once(0.0)
    assert counted.new(USE) == USE
    counted.served(served("s1", user="bob"))
    assert counted.new(USE) == USE, "another user's session of the same name"
    counted.served(served("s1"))
    assert counted.new(USE) is None
    assert counted.new(USE._replace(session="s2")) is not None
    counted.served(served(""))
    assert counted.new(USE._replace(session="")) is not None


def test_one_signal_counts_for_a_session() -> None:
    counted = Once(0.0)
    assert counted.new(USE) == USE
    assert counted.new(USE._replace(signal="metrics")) is None
    assert counted.new(USE) == USE
    assert counted.new(USE._replace(signal="metrics", session="s2")) is not None


def test_an_export_that_is_sent_again_counts_once() -> None:
    counted = Once(0.0)
    digests = {"a": False, "b": False}
    assert {digest: counted.came_before("alice", digest) for digest in digests} == digests
    assert all(counted.came_before("alice", digest) for digest in digests)
    assert not counted.came_before("alice", "")
    assert not counted.came_before("alice", "")
    assert not counted.came_before("bob", "a")


def test_sums_since_a_start_count_their_increase() -> None:
    counted, total = Once(100.0), USE._replace(signal="metrics", series="tokens", began=150.0)

    def now(cost: int, began: float = 150.0, **changed: Any) -> int | None:
        new = counted.new(total._replace(cost=cost, began=began, **changed))
        return None if new is None else new.cost

    assert [now(100), now(100), now(130), now(20)] == [100, 0, 30, 0]
    assert now(20, began=200.0) == 20, "the agent has started again"
    assert now(500, began=50.0, session="old") is None, "an earlier life has counted some of it"
    assert now(520, began=50.0, session="old") == 20


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "MOST_SESSIONS", 3)
    counted = Once(0.0)
    for number in range(10):
        counted.served(served(f"s{number}"))
    for number in range(10):
        counted.served(served(f"b{number}", user="bob"))
    assert counted.new(USE._replace(session="s9")) is None, "another user's sessions do not push it out"
    assert counted.new(USE._replace(session="s1")) is not None


def test_the_messages_reach_no_further_than_named() -> None:
    """What is not read is skipped: a text that nests without end does no harm."""
    nested = b"\x0a\x00"
    for _ in range(2000):
        nested = b"\x2a" + _varint(len(nested)) + nested
    assert msgspec.to_builtins(export.read(nested, "logs", json=False, gzip=False))["resourceLogs"] == []


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])
