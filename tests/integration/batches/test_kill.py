"""Batches survive a restart and `kill -9`: each line has one result, and no line is sent twice."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from meshd.state.keeper import StateKeeper
from tests.support.apps.sdks.batches import finished, line, results, submit
from tests.support.client.responses import over_socket
from tests.support.keeping import settings_of
from tests.support.waiting import WAIT, until

AT_ONCE = 8


def config(url: str, **script: Any) -> dict[str, Any]:
    return {
        "providers": {"up": {"connector": "openai-compatible.v1", "base_url": f"{url}/v1"}},
        "models": {
            "up.m": {
                "provider": "up",
                "model": "m",
                "capabilities": ["chat-completion"],
                "pricing": {"input_per_1m": 1, "output_per_1m": 2},
            }
        },
        "pools": {"chat": {"models": ["up.m"]}},
        "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        "batches": {"max_inflight": AT_ONCE},
        "daemon": {"drain_timeout": "5s"},
    }


def ledger(daemon: Any) -> int:
    """Requests that count as sent, of a daemon that has ended."""
    keeper = StateKeeper(daemon.state, settings_of(), now=time.time)
    keeper.open()
    usage = keeper.load().tables["usage"]
    keeper.close()
    return sum(row["requests"] for key, row in usage.items() if key.split("\0")[1] == "provider")


@pytest.mark.parametrize(
    ("lines", "kills"), [(200, 1), pytest.param(10_000, 2, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_each_line_is_answered_once_and_none_is_sent_twice(meshd: Any, upstream: Any, lines: int, kills: int) -> None:
    provider, patience = upstream([{"echo": True, "delay": "5ms"}]), WAIT * max(1, lines // 500)
    daemon = meshd(config(provider.url))
    with over_socket(daemon) as client:
        made = submit(client, [line(f"n{n}", body={"user": f"n{n}"}) for n in range(lines)])
    for kill in range(1, kills + 1):
        enough = lines * kill // (kills + 1)
        until(lambda enough=enough: provider.served["served"] >= enough, patience, "some are answered")
        daemon.kill()
        daemon.start()
    with over_socket(daemon) as client:
        done = finished(client, made, patience)
        answered, failed = results(client, done.output_file_id), results(client, done.error_file_id)
    sent = Counter(row["user"] for row in provider.bill)
    assert max(sent.values()) == 1
    assert done.status == "completed"
    assert (done.request_counts.total, len(answered) + len(failed)) == (lines, lines)
    assert not answered.keys() & failed.keys()
    assert {row["error"]["code"] for row in failed.values()} <= {"request_interrupted"}
    assert len(failed) <= kills * AT_ONCE
    assert answered.keys() <= sent.keys() <= answered.keys() | failed.keys()
    assert daemon.stop() == 0
    assert ledger(daemon) == lines


def test_a_stop_loses_nothing(meshd: Any, upstream: Any) -> None:
    provider = upstream([{"echo": True, "delay": "10ms"}])
    daemon = meshd(config(provider.url))
    with over_socket(daemon) as client:
        made = submit(client, [line(f"n{n}", body={"user": f"n{n}"}) for n in range(60)])
        until(lambda: len(provider.bill) >= 20, what="some are answered")
        assert daemon.stop() == 0
        daemon.start()
    with over_socket(daemon) as client:
        done = finished(client, made)
        assert (done.status, len(results(client, done.output_file_id))) == ("completed", 60)
    assert Counter(row["user"] for row in provider.bill).most_common(1)[0][1] == 1
