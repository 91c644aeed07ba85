"""The state that older versions wrote, read by today's daemon: nothing is lost. That of a later version is left alone.

`older/README.md` says how the archives were made.
"""

from __future__ import annotations

import os
import re
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelmesh import NotFoundError
from tests.support.daemons.clocks.clocked import Clock
from tests.support.daemons.daemon import Daemon
from tests.support.waiting import until

OLDER = Path(__file__).with_name("older")
WHEN = datetime(2026, 11, 28, 23, 58, tzinfo=UTC).timestamp()  # minutes after all of them ended
COST = 0.2  # of each request
REQUESTS = {"5e0b2a86": 4, "1e5f7a22": 4, "82c637c2": 4, "9f388046": 5, "805ff040": 6}
RESPONSE, BATCH = "resp_17bc21884d56c36512f1e42871810dc1", "batch_0f7f333c86f9bf6ce15eb5f8"
PRICED = {"capabilities": ["chat-completion"], "pricing": {"input_per_1m": 1000, "output_per_1m": 2000}}
SCRIPT = [{"reply": "Hello there", "usage": {"prompt_tokens": 100, "completion_tokens": 50}}]
CONFIG: dict[str, Any] = {
    "providers": {
        "scripted": {
            "connector": "modelmesh.scripted.v1",
            "script": SCRIPT,
            "budget": {"daily_limit": 1000, "monthly_limit": 5000},
        }
    },
    "models": {"scripted.one": PRICED, "scripted.two": PRICED},
    "pools": {"chat": {"capability": "chat-completion", "models": ["scripted.one", "scripted.two"]}},
    "discovery": {"local": {"enabled": False}},
    "daemon": {"timezone": "UTC"},
}


def daemon_of(version: str, meshd: Any, short: Path) -> Daemon:
    """Not started; at the time when that one ended, or this month and day would be over."""
    clock = Clock(short)
    clock.set(WHEN)
    daemon: Daemon = meshd(CONFIG, start=False, env=clock.env)
    daemon.state.mkdir(mode=0o700)
    with tarfile.open(OLDER / f"{version}.tar.xz") as archive:
        archive.extractall(daemon.state, filter="data")
    daemon.state.chmod(0o700)
    return daemon


def check(daemon: Daemon, requests: int) -> None:
    cost = pytest.approx(requests * COST)
    budget = {row["window"]: row["spent"] for row in daemon.ask("GET", "/mesh/v1/budget")["data"]}
    assert budget == {"day": cost, "month": cost}
    # What a killed daemon's statistics lacked is counted beside the first requests.
    row = until(lambda: statistics(daemon) if statistics(daemon).get("requests_total") == requests else None)
    assert row["cost_total"] == cost
    assert (row["tokens_in"], row["tokens_out"]) == (100 * requests, 50 * requests)
    assert daemon.status()["spend_today"] == cost
    models = {row["id"]: row for row in daemon.ask("GET", "/mesh/v1/models")["data"]}
    assert (models["scripted.two"]["status"], models["scripted.two"]["deactivated"]) == ("standby", "too slow")


def statistics(daemon: Daemon) -> dict[str, Any]:
    rows = daemon.ask("GET", "/mesh/v1/stats?by=model")["data"]
    return next((row for row in rows if row["name"] == "scripted.one"), {})


@pytest.mark.parametrize("version", REQUESTS)
def test_everything_is_kept(version: str, meshd: Any, short: Path) -> None:
    daemon = daemon_of(version, meshd, short).start()
    check(daemon, REQUESTS[version])
    chat = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}
    assert daemon.client().chat.completions.create(**chat).choices[0].message.content == "Hello there"
    assert daemon.stop() == 0
    daemon.start()
    check(daemon, REQUESTS[version] + 1)
    assert not re.search("Traceback|ignored|cannot be read", daemon.log()), daemon.log()


def test_responses_files_and_batches_are_kept(meshd: Any, short: Path) -> None:
    client = daemon_of("805ff040", meshd, short).start().client()
    if os.geteuid() != 0:  # they belong to root
        with pytest.raises(NotFoundError):
            client.responses.retrieve(RESPONSE)
        return
    assert client.responses.retrieve(RESPONSE).output[0].content[0].text == "Hello there"
    batch = client.batches.retrieve(BATCH)
    assert (batch.status, batch.request_counts.completed) == ("completed", 1)
    assert "Hello there" in client.files.content(batch.output_file_id).text
    more = client.responses.create(model="chat", input="And now?", previous_response_id=RESPONSE)
    assert more.output[0].content[0].text == "Hello there"


def test_what_a_later_version_wrote_is_not_read_and_not_changed(meshd: Any, short: Path) -> None:
    daemon = daemon_of("82c637c2", meshd, short)
    (daemon.state / "format").write_text("2\n")
    before = {path.name: path.read_bytes() for path in daemon.state.iterdir() if path.is_file()}
    assert daemon.spawn().wait(20) == 78
    assert "was written by a newer version of meshd (its form is 2, this version reads 1): install" in daemon.log()
    assert "Traceback" not in daemon.log()
    assert {path.name: path.read_bytes() for path in daemon.state.iterdir() if path.is_file()} == before


def test_a_directory_says_its_form(meshd: Any) -> None:
    assert (meshd(CONFIG).state / "format").read_text() == "1\n"
