"""The wall clock is set while a daemon runs: no deadline passes because of it, and no cooldown changes."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support.daemons.clocks.clocked import Clock
from tests.support.daemons.pool_rule_cases import Cases, member

YEARS = 3 * 365 * 86400.0
STEPS = [1.0, -1.0, 7200.0, -7200.0, YEARS, -YEARS]


@pytest.fixture
def clock(short):
    return Clock(short)


def test_requests_streams_and_rests_last_as_long_whatever_happens_to_the_clock(meshd, upstream, clock):
    cases = Cases(upstream())
    cases.model("slow", {"reply": "one two three four", "delay": 0.3, "chunk_delay": 0.1})
    cases.pool("slow", "slow")
    cases.case("fails", {"error": 500}, recovery={"cooldown": "5m"})
    cases.play()
    daemon = meshd(cases.config, env=clock.env)
    assert daemon.say(model="fails").mesh.model == "fails-b"
    began, rest = time.monotonic(), member(daemon, "fails", "fails-a")["recovers_in"]
    assert rest == pytest.approx(300, abs=2)
    wrong: list[BaseException | str] = []

    def ask(number: int) -> None:
        try:
            client = daemon.client(timeout=20.0)
            options = {"model": "slow", "messages": [{"role": "user", "content": "hi"}]}
            if number % 2:
                chunks = list(client.chat.completions.create(stream=True, **options))
                text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            else:
                text = client.chat.completions.create(**options).choices[0].message.content
            if text != "one two three four":
                wrong.append(text)
        except BaseException as error:
            wrong.append(error)

    for step in STEPS:
        askers = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for requester in askers:
            requester.start()
        time.sleep(0.1)
        clock.set(clock.now + step)
        for requester in askers:
            requester.join(30)
        assert not wrong, step
        known = member(daemon, "fails", "fails-a")
        assert known["status"] == "standby"
        assert known["recovers_in"] == pytest.approx(rest - (time.monotonic() - began), abs=2), step
        assert daemon.model("slow")["failures"] == 0
    assert daemon.status()["uptime"] < 100


@pytest.mark.parametrize("step", [-YEARS, -7200.0, 7200.0, YEARS])
def test_a_clock_that_is_set_between_two_lives_does_no_harm(meshd, upstream, clock, step):
    cases = Cases(upstream())
    cases.case("fails", {"error": 500}, recovery={"cooldown": "5m"})
    cases.play()
    daemon = meshd(cases.config, env=clock.env)
    clock.set(clock.now + 100_000)  # what is saved is by the clock on the wall all the same
    assert daemon.say(model="fails").mesh.model == "fails-b"
    daemon.stop()
    clock.set(clock.now + step)
    daemon.start()
    known = member(daemon, "fails", "fails-a")
    if step < 0:
        assert 200 < known["recovers_in"] <= 300
    else:
        assert known["recovers_in"] in (None, 0.0)
    assert daemon.say(model="fails").mesh.model == "fails-b"
