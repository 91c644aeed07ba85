"""Actors that die: each is started again, and no request is lost that had not been sent to a provider."""

from __future__ import annotations

import contextlib
import logging
import threading

import pytest

import modelmesh
from meshd import messages
from meshd.config import MeshConfig
from meshd.core.events.records import Event
from meshd.mesh import ModelMesh
from tests.support.daemons.stress.dying import Poison, poisonous

CONFIG = {
    "providers": {
        "echo": {"connector": "modelmesh.scripted.v1"},
        "slow": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "a b c", "delay": "300ms"}]},
        "stream": {
            "connector": "modelmesh.scripted.v1",
            "script": [{"tokens": ["one ", "two ", "three"], "chunk_delay": "20s"}],
        },
    },
    "models": {
        "echo.chat": {"provider": "echo", "capabilities": ["chat-completion"]},
        "slow.chat": {"provider": "slow", "capabilities": ["classification"]},
        "stream.chat": {"provider": "stream", "capabilities": ["rewriting"]},
    },
    "pools": {"chat": {"capability": "chat-completion"}},
    "observability": {"routing": {"connector": "modelmesh.null.v1"}, "logging": {"connector": "modelmesh.null.v1"}},
    "storage": {"sync_interval": "50ms"},
}

OTHERS = ("telemetry", "secret", "state", "config", "health", "discovery")


@pytest.fixture(autouse=True)
def _poisonous(monkeypatch):
    poisonous(monkeypatch, at_once=False)


@pytest.fixture
def mesh(short, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(short / "data"))
    logging.getLogger("meshd").setLevel(logging.CRITICAL)
    with ModelMesh(sockets=[messages.Listen(f"ipc://{short}/s")], state_dir=short / "state") as mesh:
        mesh.initialize(MeshConfig.from_dict(CONFIG))
        yield mesh
    logging.getLogger("meshd").setLevel(logging.NOTSET)


@pytest.fixture
def client(mesh, short):
    with modelmesh.OpenAIClient(short / "s", timeout=20, max_retries=0) as client:
        client.models.list()
        yield client


def say(client, text="hi", model="chat", **options):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


def actor(mesh, name):
    found = mesh.command("GET", "/mesh/v1/status")["actors"]
    return next(actor for actor in found if actor["name"] == name)


def restarted(mesh, name, times, eventually):
    def is_back():
        with contextlib.suppress(Exception):
            found = actor(mesh, name)
            return found["alive"] and found["restarts"] == times
        return False

    eventually(is_back, what=f"{name} is started again")


@pytest.mark.parametrize("name", OTHERS)
def test_an_actor_is_started_again_and_no_request_notices(mesh, client, eventually, name):
    done, outcomes = threading.Event(), []

    def app():
        while not done.is_set():
            try:
                outcomes.append(say(client).choices[0].message.content)
            except Exception as error:
                outcomes.append(error)

    apps = [threading.Thread(target=app) for _ in range(4)]
    for each in apps:
        each.start()
    try:
        for times in (1, 2, 3):
            mesh.tell(name, Poison())
            restarted(mesh, name, times, eventually)
    finally:
        done.set()
        for each in apps:
            each.join(20)
    assert set(outcomes) == {"[scripted] hi"}
    found = actor(mesh, name)
    assert found["last_error"] == "RuntimeError: poisoned"
    events = mesh.command("GET", "/mesh/v1/events", query={"type": "actor_restarted"})["data"]
    assert [event["ids"]["actor"] for event in events][-1] == name
    assert mesh.healthy()


def test_what_others_told_a_dying_actor_waits_for_its_next_life(mesh, client, eventually):
    mesh.tell("telemetry", Poison())
    for number in range(20):
        mesh.tell("telemetry", Event("budget_alert", number))
    restarted(mesh, "telemetry", 1, eventually)
    recent = mesh.command("GET", "/mesh/v1/events", query={"type": "budget_alert"})["data"]
    assert [event["at_ns"] for event in recent] == list(range(20))


def test_statistics_state_and_configuration_live_on(mesh, client, eventually):
    say(client)
    mesh.command("POST", "/mesh/v1/models/deactivate", {"id": "slow.chat", "reason": "kept"})
    eventually(lambda: mesh.stats().model("echo.chat"))
    for name in OTHERS:
        mesh.tell(name, Poison())
        restarted(mesh, name, 1, eventually)
    assert mesh.stats().model("echo.chat")["requests_total"] == 1
    assert mesh.config.raw == CONFIG
    changed = {**CONFIG, "pools": {"renamed": {"capability": "chat-completion"}}}
    assert mesh.reload_config(MeshConfig.from_dict(changed)).ok
    assert say(client, model="renamed")
    status = mesh.command("GET", "/mesh/v1/status")
    assert status["state"]["ok"], status["state"]
    eventually(lambda: mesh.command("GET", "/mesh/v1/status")["state"]["pending"] == 0)


def test_an_actor_that_dies_again_and_again_is_not_well(mesh, client, eventually, monkeypatch):
    """And systemd is told nothing more; requests are served all the same."""
    for _ in range(20):
        mesh.tell("secret", Poison())
    monkeypatch.setattr("meshd.actors.supervisor.TOO_MANY", 4)
    eventually(lambda: not mesh.healthy())
    assert not mesh.healthy()
    assert say(client)


# -- the router ---------------------------------------------------------------------------------------------


def test_the_router_is_started_again_with_what_it_knew(mesh, client, short, eventually):
    for _ in range(3):
        say(client)
    mesh.command("POST", "/mesh/v1/models/deactivate", {"id": "slow.chat", "reason": "kept"})
    for times in (1, 2):
        mesh.tell("router", Poison())
        restarted(mesh, "router", times, eventually)
        assert say(client).choices[0].message.content == "[scripted] hi"
        models = {model["id"]: model for model in mesh.command("GET", "/mesh/v1/models")["data"]}
        assert models["echo.chat"]["requests"] == 3 + times
        assert models["slow.chat"]["deactivated"] == "kept"
        assert (short / "s").exists()
    with modelmesh.OpenAIClient(short / "s", timeout=10) as another:
        assert say(another)
    with mesh.get_client(timeout=10) as embedded:
        assert say(embedded)
    assert mesh.healthy()


def test_a_router_that_dies_loses_only_what_was_at_a_provider(mesh, client, eventually):
    """What was at one ends with an error that says so; what was not is answered by the next life."""
    outcomes, done = [], threading.Event()

    def app(model):
        while not done.is_set():
            try:
                outcomes.append((model, say(client, model=model).choices[0].message.content))
            except modelmesh.MeshError as error:
                outcomes.append((model, error))

    apps = [threading.Thread(target=app, args=(model,)) for model in ["chat"] * 3 + ["slow.chat"]]
    for each in apps:
        each.start()
    try:
        for times in (1, 2, 3):
            so_far = len(outcomes)
            eventually(lambda so_far=so_far: len(outcomes) > so_far + 20)
            mesh.tell("router", Poison())
            restarted(mesh, "router", times, eventually)
        so_far = len(outcomes)
        eventually(lambda: len(outcomes) > so_far + 20)
    finally:
        done.set()
        for each in apps:
            each.join(20)
    errors = [error for _, error in outcomes if isinstance(error, modelmesh.MeshError)]
    assert {error.code for error in errors} <= {"request_interrupted"}
    assert len(errors) <= 3 * 4


def test_a_stream_of_a_router_that_dies_ends_with_its_text(mesh, client, eventually):
    stream = say(client, model="stream.chat", stream=True)
    assert next(stream).choices[0].delta.content == "one "
    mesh.tell("router", Poison())
    with pytest.raises(modelmesh.StreamInterrupted) as caught:
        next(stream)
    assert caught.value.text == "one "
    restarted(mesh, "router", 1, eventually)
    assert say(client)


def test_the_next_life_remembers_what_the_last_had_begun_and_answered(mesh, short, dial, eventually):
    line = dial(short / "s")
    answered = line.chat("once")
    first = line.receive(line.wire.RESPONSE).body
    begun = line.chat(model="slow.chat")
    eventually(lambda: mesh.command("GET", "/mesh/v1/models", query={"id": "slow.chat"})["data"][0]["in_flight"])
    mesh.tell("router", Poison())
    restarted(mesh, "router", 1, eventually)
    again = dial(short / "s")
    again.chat(model="slow.chat", id=begun, resend=True)
    error = again.receive(line.wire.ERROR)
    assert (error.request_id, error.head.error["code"]) == (begun, "request_interrupted")
    again.chat("once", id=answered, resend=True)
    assert again.receive(line.wire.RESPONSE).body == first
    requests = {model["id"]: model["requests"] for model in mesh.command("GET", "/mesh/v1/models")["data"]}
    assert (requests["slow.chat"], requests["echo.chat"]) == (1, 1)


def test_a_router_restarts_on_a_socket_that_was_handed_in(short, eventually, monkeypatch):
    """As systemd does with socket activation: the listening socket outlives every life."""
    import socket

    monkeypatch.setenv("XDG_DATA_HOME", str(short / "data"))
    with (
        socket.socket(socket.AF_UNIX) as listening,
        ModelMesh(sockets=[messages.Listen(f"ipc://{short}/h", listening.fileno())], state_dir=short / "state") as mesh,
    ):
        listening.bind(str(short / "h"))
        listening.listen()
        mesh.initialize(MeshConfig.from_dict(CONFIG))
        for times in (1, 2):
            with modelmesh.OpenAIClient(short / "h", timeout=10, max_retries=0) as client:
                assert say(client).choices[0].message.content == "[scripted] hi"
            mesh.tell("router", Poison())
            restarted(mesh, "router", times, eventually)
        with modelmesh.OpenAIClient(short / "h", timeout=10, max_retries=0) as client:
            assert say(client)
        mesh.shutdown()
        assert (short / "h").exists()
