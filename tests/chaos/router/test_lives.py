"""What a router's life hands to the next, and what two orders in quick succession do to it."""

from __future__ import annotations

import contextlib
import errno
import logging

import msgspec
import pytest

import modelmesh
from meshd import messages
from meshd.actors.prepare import Prepare
from meshd.config import MeshConfig
from meshd.gateway.frontends.ipc.server import IpcServer
from meshd.mesh import ModelMesh
from tests.support.daemons.stress.dying import Poison, poisonous

CONFIG = {
    "providers": {"echo": {"connector": "modelmesh.scripted.v1"}},
    "models": {"echo.chat": {"provider": "echo", "capabilities": ["chat-completion"]}},
    "pools": {"chat": {"capability": "chat-completion"}},
    "observability": {"routing": {"connector": "modelmesh.null.v1"}, "logging": {"connector": "modelmesh.null.v1"}},
}


@pytest.fixture(autouse=True)
def _poisonous(monkeypatch):
    poisonous(monkeypatch, at_once=False)


@pytest.fixture
def mesh(short, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(short / "data"))
    logging.getLogger("meshd").setLevel(logging.CRITICAL)
    place = messages.Listen(f"ipc://{short}/s", mode=0o666)
    with ModelMesh(sockets=[place], state_dir=short / "state") as mesh:
        mesh.initialize(MeshConfig.from_dict(CONFIG))
        yield mesh
    logging.getLogger("meshd").setLevel(logging.NOTSET)


def say(client, model="chat"):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])


def restarted(mesh, eventually, at_least=1):
    def is_back():
        with contextlib.suppress(Exception):
            found = mesh.command("GET", "/mesh/v1/status")["actors"]
            router = next(actor for actor in found if actor["name"] == "router")
            return router["alive"] and router["restarts"] >= at_least
        return False

    eventually(is_back, what="the router is started again")


def test_two_reloads_in_quick_succession_are_both_run(mesh, short):
    """The second's Prepare may come before the first's Commit was handled."""
    for name in ("one", "two", "three"):
        raw = {**CONFIG, "pools": {name: {"capability": "chat-completion"}}}
        mesh.tell("config", messages.Reload(config=MeshConfig.from_dict(raw)))
    assert mesh.ask("config", messages.LastReload()).ok
    assert "three" in [pool["name"] for pool in mesh.command("GET", "/mesh/v1/pools")["data"]]


def test_prepared_generations_are_told_apart(mesh):
    router = mesh.supervisor.ward("router")
    running = router.router.runtime.config
    for number in (11, 12, 13):
        generation = msgspec.structs.replace(running, number=number)
        assert mesh.ask("router", Prepare(generation)) == ()
    mesh.ask("router", messages.Commit(12))
    assert router.router.runtime.config.number == 12
    mesh.ask("router", messages.Commit(11))  # gone: an error in the log, and nothing else
    assert router.router.runtime.config.number == 12
    mesh.ask("router", messages.Commit(13))
    assert router.router.runtime.config.number == 13


def test_a_prepared_generation_outlives_a_crash(mesh, eventually):
    running = mesh.supervisor.ward("router").router.runtime.config
    mesh.ask("router", Prepare(msgspec.structs.replace(running, number=21)))
    mesh.tell("router", Poison())
    restarted(mesh, eventually)
    mesh.ask("router", messages.Commit(21))
    assert mesh.supervisor.ward("router").router.runtime.config.number == 21


@pytest.mark.parametrize("where", ["open", "bind"])
def test_a_life_that_fails_before_it_has_taken_over_loses_nothing(mesh, short, eventually, monkeypatch, where):
    with modelmesh.OpenAIClient(short / "s", timeout=20) as client:
        say(client)
    failures = iter([True, True, True])
    real = getattr(IpcServer, where)

    def full(self, *arguments, **options):
        if next(failures, False):
            raise OSError(errno.EMFILE, "Too many open files")
        return real(self, *arguments, **options)

    monkeypatch.setattr(IpcServer, where, full)
    mesh.tell("router", Poison())
    restarted(mesh, eventually, 4)
    with modelmesh.OpenAIClient(short / "s", timeout=20) as client:
        assert say(client).choices[0].message.content == "[scripted] hi"
    assert mesh.command("GET", "/mesh/v1/models")["data"][0]["requests"] == 2


def test_no_event_loop_for_a_new_life_is_a_failure_like_others(mesh, short, eventually, monkeypatch):
    import uvloop

    failures = iter([True, True])
    real = uvloop.new_event_loop

    def full():
        if next(failures, False):
            raise OSError(errno.EMFILE, "Too many open files")
        return real()

    monkeypatch.setattr("meshd.actors.base.loop.uvloop.new_event_loop", full)
    mesh.tell("router", Poison())
    restarted(mesh, eventually, 3)
    with modelmesh.OpenAIClient(short / "s", timeout=20) as client:
        assert say(client)


def test_the_supervisor_hears_of_a_death_when_it_is_over(mesh, eventually, monkeypatch):
    from meshd.actors.router import RouterActor

    alive = []
    real = RouterActor.opened

    async def opened(self):
        alive.append(old.loop.is_closed())
        await real(self)

    old = mesh.supervisor.ward("router")
    monkeypatch.setattr(RouterActor, "opened", opened)
    mesh.tell("router", Poison())
    restarted(mesh, eventually)
    assert alive == [True]


def test_an_uncaught_exception_in_the_loop_is_logged(mesh, caplog, eventually):
    logging.getLogger("meshd").setLevel(logging.INFO)
    router = mesh.supervisor.ward("router")

    async def fails():
        raise ValueError("in a task")

    def broken():
        raise ValueError("in a callback")

    router.loop.call_soon_threadsafe(broken)
    router.loop.call_soon_threadsafe(lambda: router.spawn(fails()))
    eventually(lambda: "in a callback" in caplog.text and "in a task" in caplog.text)


def test_a_router_that_dies_leaves_its_socket_open_to_the_same_users(mesh, short, eventually):
    mode = (short / "s").stat().st_mode
    assert mode & 0o777 == 0o666
    with modelmesh.OpenAIClient(short / "s", timeout=20) as client:
        for times in (1, 2):
            mesh.tell("router", Poison())
            restarted(mesh, eventually, times)
            assert say(client)
            assert (short / "s").stat().st_mode == mode
