"""How the process ends when it has little time, and that its own reports never end it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path

import pytest

import modelmesh
from meshd import messages
from meshd.app import report
from meshd.app.notify import Notifier
from meshd.app.process import TOGETHER
from meshd.core.messaging.mailboxes import ActorUnavailable
from modelmesh import MeshError


class Broken:
    """A mesh whose router does not answer, or fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.timeouts: list[float] = []

    def command(self, method, path, timeout):
        self.timeouts.append(timeout)
        raise self.error

    def healthy(self, timeout):
        return True


@pytest.mark.parametrize("error", [ActorUnavailable("busy"), MeshError("no"), ValueError("a bug"), KeyError("x")])
def test_a_report_that_fails_is_one_line_in_the_log(error, caplog, monkeypatch):
    mesh = Broken(error)
    monkeypatch.setenv("NOTIFY_SOCKET", "")
    with caplog.at_level(logging.INFO, "meshd"):
        report.dump(mesh)
        report.say_alive(mesh, Notifier(), None)
    assert len(caplog.records) == 2
    assert all(record.exc_info is None for record in caplog.records)
    assert mesh.timeouts == [5.0, 5.0]


def test_an_actor_that_is_unavailable_is_a_mesh_error():
    assert issubclass(ActorUnavailable, MeshError)
    assert ActorUnavailable("x").retryable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_drain(meshd, one, dial, eventually, number):
    daemon = meshd(one(daemon={"drain_timeout": "60s"}, reply="late", delay="60s"))
    line = dial(daemon.socket)
    line.chat()
    eventually(lambda: daemon.status()["in_flight"])
    daemon.signal(number)
    line.receive(line.wire.GOAWAY)
    assert daemon.process.poll() is None
    before = time.monotonic()
    daemon.signal(number)  # at once: taken for the same one
    threading.Event().wait(TOGETHER)  # the clock itself is waited for
    assert daemon.process.poll() is None
    daemon.signal(number)
    assert daemon.wait() == 0
    assert time.monotonic() - before < 15
    assert line.receive(line.wire.GOAWAY).head.drain_ms == 0
    assert line.receive(line.wire.ERROR).head.error["code"] == "request_interrupted"


def test_the_service_manager_is_asked_for_patience_when_the_drain_is_long(meshd, one, short, dial, eventually):
    import socket

    path = short / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        daemon = meshd(one(daemon={"drain_timeout": "40s"}), env={"NOTIFY_SOCKET": str(path)})
        daemon.stop()
        said = ""
        while "EXTEND_TIMEOUT_USEC=45000000" not in said:
            said = manager.recv(4096).decode()


def test_a_group_that_does_not_exist_is_a_clear_error(meshd, one):
    daemon = meshd(one(daemon={"socket_group": "no-such-group"}), start=False)
    daemon.spawn()
    assert daemon.wait() == 78
    assert "no-such-group" in daemon.log()
    assert "Traceback" not in daemon.log()
    assert daemon.leftovers() == []


def test_drain_orders_replace_each_other(short, monkeypatch):
    from meshd.config import MeshConfig
    from meshd.mesh import ModelMesh

    monkeypatch.setenv("XDG_DATA_HOME", str(short / "data"))
    with ModelMesh(state_dir=Path(short / "state")) as mesh:
        mesh.initialize(MeshConfig.from_dict({"providers": {"one": {"connector": "modelmesh.scripted.v1"}}}))
        assert mesh.ask("router", messages.Drain(5.0)) == 0
        assert mesh.ask("router", messages.Drain(0.0)) == 0


def test_a_message_that_is_too_large_is_refused_before_it_cuts_the_connection(meshd):
    config = {
        "providers": {"s": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "ok"}], "models": ["m"]}},
        "models": {"s.m": {"provider": "s", "model": "m", "capabilities": ["chat-completion"]}},
        "daemon": {"max_message_size": "1MiB"},
    }
    daemon = meshd(config)
    with modelmesh.OpenAIClient(daemon.socket, timeout=20) as client:
        for size in (3 * 1024**2, 1100 * 1024):
            with pytest.raises(modelmesh.InvalidRequestError) as caught:
                client.chat.completions.create(model="s.m", messages=[{"role": "user", "content": "x" * size}])
            assert caught.value.status_code == 413
        assert client.chat.completions.create(model="s.m", messages=[{"role": "user", "content": "x"}])
