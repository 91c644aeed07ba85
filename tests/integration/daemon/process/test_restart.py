"""What outlives a restart, a crash, and a failure of a provider."""

from __future__ import annotations

import threading
import time

import pytest

import modelmesh

DOWN = [{"error": 503, "message": "overloaded"}]
FAST = {"retry": {"max_attempts": 1}, "deactivation": {"retry_limit": 1}}


def restart(daemon):
    assert daemon.stop() == 0
    daemon.start()


def test_a_deactivation_by_hand_is_kept_until_it_is_undone(meshd, two):
    daemon = meshd(two())
    assert daemon.say(model="chat").mesh.model == "first.chat"
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "first.chat", "reason": "too dear"})
    assert daemon.say(model="chat").mesh.model == "second.chat"
    restart(daemon)
    assert daemon.model("first.chat")["deactivated"] == "too dear"
    assert daemon.say(model="chat").mesh.model == "second.chat"
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "second.chat"})
    with pytest.raises(modelmesh.NoActiveModelError) as caught:
        daemon.say(model="chat")
    assert caught.value.reasons["first.chat"].endswith("too dear")
    assert caught.value.recovers_in is None
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "first.chat"})
    restart(daemon)
    assert daemon.model("first.chat")["deactivated"] is None
    assert daemon.say(model="chat").mesh.model == "first.chat"


def test_a_deactivation_by_hand_survives_a_crash(meshd, two, eventually):
    daemon = meshd({**two(), "storage": {"sync_interval": "50ms"}})
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "first.chat", "reason": "x"})
    eventually(lambda: daemon.status()["state"]["pending"] == 0)
    daemon.kill()
    daemon.start()
    assert daemon.model("first.chat")["deactivated"] == "x"


def test_rotation_moves_the_pool_on(meshd, two):
    daemon = meshd(two())
    assert daemon.say(model="chat").mesh.model == "first.chat"
    assert daemon.ask("POST", "/mesh/v1/rotate", {"pool": "chat"}) == {
        "pool": "chat",
        "from": "first.chat",
        "to": "second.chat",
    }
    assert daemon.say(model="chat").mesh.model == "second.chat"
    assert daemon.say(model="chat").mesh.model == "second.chat"
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "first.chat"})
    with pytest.raises(modelmesh.ConflictError) as caught:
        daemon.ask("POST", "/mesh/v1/rotate", {"pool": "chat"})
    assert caught.value.code == "nothing_to_rotate"


def test_no_active_model_is_503_with_every_reason_and_the_soonest_recovery(meshd, two):
    """A quota with a known reset is not a passing cause: nothing is tried again soon."""
    refused = [{"error": 402, "message": "no such key has quota left", "code": "insufficient_quota"}]
    config = two(refused, refused, **FAST)
    for provider in config["providers"].values():
        provider["quota"] = {"reset_schedule": "monthly"}
    daemon = meshd(config)
    with pytest.raises(modelmesh.MeshError):
        daemon.say(model="chat")
    with pytest.raises(modelmesh.NoActiveModelError) as caught:
        daemon.say(model="chat")
    error = caught.value
    assert (error.status_code, error.code, error.pool) == (503, "no_active_model", "chat")
    assert set(error.reasons) == {"first.chat", "second.chat"}
    assert all("no such key" in reason for reason in error.reasons.values())
    assert error.retry_after == error.recovers_in
    assert "first.chat" in str(error)


def test_models_that_rest_for_a_crash_are_tried_again_soon(meshd, two):
    daemon = meshd(two(DOWN, DOWN, **FAST, recovery={"cooldown": "1h", "max_cooldown": "2h"}))
    for _ in range(2):
        with pytest.raises(modelmesh.MeshError) as caught:
            daemon.say(model="chat", timeout=3.0)
        error = caught.value
        assert error.status_code == 503
        assert error.retryable
    assert error.retry_after < 5, "and the app hears so, not the hour of the cooldown"


def test_cooldowns_counts_and_usage_are_kept(meshd, two):
    daemon = meshd(two(DOWN, **FAST, recovery={"cooldown": "1h", "max_cooldown": "2h"}))
    for _ in range(3):
        assert daemon.say(model="chat").mesh.model == "second.chat"
    before = {name: daemon.model(f"{name}.chat") for name in ("first", "second")}
    restart(daemon)
    after = {name: daemon.model(f"{name}.chat") for name in ("first", "second")}
    for name in before:
        for key in ("requests", "failures", "tokens_in", "tokens_out", "cost", "last_failure", "last_failure_reason"):
            assert after[name][key] == before[name][key], (name, key)
    assert before["first"]["requests"] == 1
    assert before["second"]["tokens_out"] == 3
    member = daemon.ask("GET", "/mesh/v1/pools/chat")["models"][0]
    assert (member["id"], member["status"], member["failures"]) == ("first.chat", "standby", 1)
    assert 3500 < member["recovers_in"] <= 3600
    assert daemon.say(model="chat").mesh.attempts[0].model == "second.chat"


def test_usage_survives_a_crash(meshd, one):
    config = one(reply="a b c")
    config["models"]["one.chat"]["pricing"] = {"input_per_1m": 1_000_000, "output_per_1m": 1_000_000}
    daemon = meshd(config)
    for _ in range(5):
        daemon.say("one two")
    spent = daemon.model("one.chat")["cost"]
    assert spent == pytest.approx(5 * (2 + 3))
    daemon.kill()
    daemon.start()
    assert daemon.status()["spend_today"] == pytest.approx(spent)


def test_statistics_are_kept(meshd, one):
    daemon = meshd(one())
    for _ in range(3):
        daemon.say()
    restart(daemon)
    rows = daemon.ask("GET", "/mesh/v1/stats?by=model")["data"]
    assert [(row["name"], row["requests_total"]) for row in rows] == [("one.chat", 3)]


# -- an app that lives on -----------------------------------------------------------------------------------


class App:
    """Threads that ask one thing after another; what came of each."""

    def __init__(self, daemon, eventually, threads=4):
        self.client = daemon.client(timeout=30.0)
        self._eventually = eventually
        self.answers: list[str] = []
        self.errors: list[modelmesh.MeshError] = []
        self.slowest = 0.0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self, number):
        turn = 0
        while not self._done.is_set():
            turn += 1
            began = time.monotonic()
            try:
                answer = self.client.chat.completions.create(
                    model="chat-completion", messages=[{"role": "user", "content": f"{number}.{turn}"}]
                )
                self.answers.append(answer.choices[0].message.content)
            except modelmesh.MeshError as error:
                self.errors.append(error)
            self.slowest = max(self.slowest, time.monotonic() - began)

    def get(self, count, text=""):
        """Wait for so many more answers (that say this)."""
        at = len(self.answers)
        self._eventually(lambda: sum(text in answer for answer in self.answers[at:]) >= count)

    def stop(self):
        self._done.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    @property
    def calls(self):
        return len(self.answers) + len(self.errors)


def over(server, **daemon):
    return {
        "providers": {"up": server.provider()},
        "models": {"up.chat": {"provider": "up", "capabilities": ["chat-completion"]}},
        "daemon": daemon or {"watch": False},
    }


def test_sigterm_and_restart_under_a_running_app_fail_nothing(meshd, upstream, eventually):
    server = upstream([{"echo": True, "delay": "20ms"}])
    daemon = meshd(over(server))
    app = App(daemon, eventually)
    try:
        for _ in range(3):
            app.get(8)
            restart(daemon)
        app.get(8)
    finally:
        app.stop()
    assert app.errors == []
    assert len(set(app.answers)) == len(app.answers)
    assert server.served["served"] == app.calls


def test_kill_9_and_restart_under_a_running_app_bill_nothing_twice(meshd, upstream, eventually):
    server = upstream([{"echo": True, "delay": "20ms"}])
    daemon = meshd(over(server))
    app, away = App(daemon, eventually), 0.0
    try:
        for _ in range(3):
            app.get(8)
            began = time.monotonic()
            daemon.kill()
            daemon.start()
            away = max(away, time.monotonic() - began)
        app.get(8)
    finally:
        app.stop()
    # What was at the provider when the daemon died is not sent again: it is an error that says so.
    assert {(error.status_code, error.code) for error in app.errors} <= {(502, "request_interrupted")}
    assert len(app.errors) <= 3 * 4
    assert len(set(app.answers)) == len(app.answers)
    assert server.served["served"] <= app.calls
    assert app.slowest < away + 2, "the daemon was back, and the app did not notice"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_stream_that_had_begun_ends_with_its_text(meshd, upstream, how):
    server = upstream([{"tokens": ["one ", "two ", "three"], "chunk_delay": "20s"}])
    daemon = meshd(over(server, drain_timeout="200ms"))
    stream = daemon.say(stream=True)
    first = next(stream)
    assert first.choices[0].delta.content == "one "
    getattr(daemon, how)()
    daemon.start()
    with pytest.raises(modelmesh.StreamInterrupted) as caught:
        next(stream)
    assert caught.value.text == "one "
    assert server.served["served"] == 1


def test_what_was_asked_while_no_daemon_was_there_is_answered_when_it_is(meshd, one):
    daemon = meshd(one(reply="later"))
    client = daemon.client(timeout=20)
    client.models.list()
    daemon.stop()
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(client.chat.completions.create(model="one.chat", messages=[]))
    )
    asking.start()
    daemon.start()
    asking.join(20)
    assert answers[0].choices[0].message.content == "later"


# -- a provider that dies and comes back ----------------------------------------------------------------------


def test_a_provider_killed_under_load_costs_no_request_and_is_used_again(meshd, upstream, eventually):
    """Under load; the pool returns to it when it is available again."""
    first, second = upstream([{"reply": "first", "delay": "5ms"}]), upstream([{"reply": "second", "delay": "5ms"}])
    daemon = meshd(
        {
            "providers": {"first": first.provider(), "second": second.provider()},
            "models": {
                "first.chat": {"provider": "first", "capabilities": ["chat-completion"]},
                "second.chat": {"provider": "second", "capabilities": ["chat-completion"]},
            },
            "pools": {
                "chat-completion": {
                    "strategy": "priority-selection",
                    "model_priority": ["first.chat", "second.chat"],
                    "recovery": {"cooldown": "200ms", "max_cooldown": "400ms"},
                }
            },
            "discovery": {"health": {"interval": "200ms", "timeout": "1s"}},
        }
    )
    app = App(daemon, eventually, threads=8)
    try:
        for _ in range(2):
            app.get(30, "first")
            first.kill()
            app.get(30, "second")
            first.start()
            app.get(30, "first")
    finally:
        app.stop()
    assert app.errors == []
    pool = daemon.ask("GET", "/mesh/v1/pools/chat-completion")
    assert [model["status"] for model in pool["models"]] == ["active", "active"]
    deactivated = [event for event in daemon.ask("GET", "/mesh/v1/events")["data"] if "deactivated" in event["type"]]
    assert deactivated


def test_the_only_provider_gone_is_an_error_in_time_and_an_answer_when_it_is_back(meshd, upstream, eventually):
    server = upstream([{"reply": "here"}])
    config = over(server)
    config["pools"] = {"chat-completion": {"recovery": {"cooldown": "100ms", "max_cooldown": "200ms"}}}
    config["discovery"] = {"health": {"interval": "100ms"}}
    daemon = meshd(config)
    assert daemon.say().choices[0].message.content == "here"
    server.kill()
    since = time.monotonic()
    with pytest.raises((modelmesh.ProviderConnectionError, modelmesh.NoActiveModelError)):
        daemon.say(timeout=2.0)
    assert time.monotonic() - since < 5, "it waits for the model, and no longer than the app does"
    server.start()

    def answers():
        try:
            return daemon.say().choices[0].message.content == "here"
        except modelmesh.MeshError:
            return False

    eventually(answers)


def test_failures_in_a_row_and_latencies_are_kept(meshd, two):
    lasting = {
        "retry": {"max_attempts": 1},
        "deactivation": {"retry_limit": 3},
        "strategy": "modelmesh.priority-selection.v1",
    }
    daemon = meshd(two([{"reply": "ok", "delay": "20ms"}, *DOWN * 2, {"reply": "ok"}], **lasting))
    assert daemon.say(model="chat").mesh.model == "first.chat"
    for _ in range(2):
        daemon.say(model="chat")
    member = daemon.ask("GET", "/mesh/v1/pools/chat")["models"][0]
    latency = daemon.model("first.chat")["latency"]
    assert member["failures"] == 2
    restart(daemon)
    after = daemon.ask("GET", "/mesh/v1/pools/chat")["models"][0]
    assert (after["id"], after["failures"], after["status"]) == ("first.chat", 2, "active")
    assert daemon.model("first.chat")["latency"] == pytest.approx(latency, abs=1e-3)
