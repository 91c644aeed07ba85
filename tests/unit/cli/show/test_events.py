"""`meshctl events`: what happened, as people read it."""

from __future__ import annotations

import json
import re
from typing import Any

EVENTS = [
    {
        "type": "model_rotated",
        "at_ns": 2_000_000_000,
        "severity": "info",
        "ids": {"pool": "c"},
        "reason": "asked",
        "cause": "operator",
        "changed": {"to": "b"},
    },
    {"type": "config_reloaded", "at_ns": 1_000_000_000, "severity": "info", "ids": {}, "reason": "", "changed": {}},
]


def test_events(fake: Any, meshctl: Any) -> None:
    fake.answers["GET events?limit=50"] = {"data": EVENTS}
    fake.answers["GET events?limit=50&type=model_rotated"] = {"data": EVENTS[:1]}
    lines = meshctl("events").stdout.splitlines()
    assert ["config_reloaded" in lines[0], "pool=c  asked  (to: b)" in lines[1]] == [True, True]
    assert json.loads(meshctl("events", "--json").stdout) == {"data": EVENTS[::-1]}
    assert len(meshctl("events", "--type", "model_rotated").stdout.splitlines()) == 1
    assert meshctl("events", "--type", "model_roteted").exit_code == 2


def test_events_follow(fake: Any, meshctl: Any) -> None:
    fake.answers["GET events?limit=50"] = {"data": EVENTS}
    late = {"type": "client_lost", "at_ns": 3_000_000_000}
    fake.live = [EVENTS[0], late, KeyboardInterrupt()]
    followed = meshctl("events", "--follow", "--json")
    assert [json.loads(line)["type"] for line in followed.stdout.splitlines()] == [
        "config_reloaded",
        "model_rotated",
        "client_lost",
    ]
    assert followed.exit_code == 130
    assert followed.stderr == ""


def test_events_say_until_when_as_a_clock_does(fake: Any, meshctl: Any) -> None:
    event = {"type": "model_deactivated", "at_ns": 1, "changed": {"until": 1795421203.48}}
    fake.answers["GET events?limit=50"] = {"data": [event]}
    shown = meshctl("events").stdout
    assert "1795421203" not in shown
    assert re.search(r"until (?:\d{4}-\d\d-\d\d\s+)?\d\d:\d\d:\d\d", shown)


def test_events_tell_durations_and_numbers_as_people_do(fake: Any, meshctl: Any) -> None:
    at = 1_796_000_000
    rests = {"type": "model_deactivated", "at_ns": at * 10**9, "ids": {"model": "m"}, "reason": "gone"}
    health = {
        "type": "provider_health_changed",
        "at_ns": at * 10**9,
        "changed": {"latency": 0.00234567, "score": 0.7351},
    }
    fake.answers["GET events?limit=50"] = {"data": [rests | {"changed": {"until": at + 119.99}}, health]}
    shown = " ".join(meshctl("events").stdout.split())
    assert "for 2 min, until " in shown
    assert "latency: 2.3 ms, score: 0.735" in shown
    assert not re.search(r"\d\.\d{4,}|: \d+\.\d+s", shown)


def test_a_rotation_says_its_models_once(fake: Any, meshctl: Any) -> None:
    changed = {"from": "a.one", "to": "b.two"}
    event = {"type": "model_rotated", "at_ns": 1, "ids": {"pool": "all"}, "reason": "a.one → b.two", "changed": changed}
    fake.answers["GET events?limit=50"] = {
        "data": [event, event | {"reason": "by hand", "cause": "operator", "at_ns": 2}]
    }
    by_itself, by_hand = meshctl("events").stdout.splitlines()
    assert by_itself.count("b.two") == by_hand.count("b.two") == 1
    assert "from: a.one, to: b.two" in by_hand
