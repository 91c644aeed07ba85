"""What the process is told while it runs, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

import modelmesh
from modelmesh import protocol as wire


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_then_ends_with_0_and_leaves_nothing(meshd, one, dial, number):
    daemon = meshd(one(tokens=["a ", "b ", "c"], chunk_delay="300ms"))
    line, other = dial(daemon.socket), dial(daemon.socket)
    stream = line.chat(stream=True)
    assert line.receive(wire.CHUNK)
    daemon.signal(number)
    assert other.receive(wire.GOAWAY).head.drain_ms == 30_000
    other.chat()
    refusal = other.receive(wire.ERROR).head
    assert (refusal.status, refusal.error["code"]) == (503, "draining")
    kinds = []
    while not kinds or kinds[-1] in (wire.CHUNK, wire.GOAWAY):
        message = line.receive()
        kinds.append(message.kind)
        assert message.request_id in (b"", stream)
    assert kinds[-1] == wire.END
    assert kinds.count(wire.CHUNK) == 3
    assert daemon.wait() == 0
    assert daemon.leftovers() == []
    assert "Traceback" not in daemon.log()


def test_what_does_not_end_within_the_drain_timeout_is_cancelled(meshd, one, dial, eventually):
    daemon = meshd(one(fault="timeout", daemon={"drain_timeout": "300ms"}))
    line = dial(daemon.socket)
    request_id = line.chat()
    line.round_trip()
    daemon.signal(signal.SIGTERM)
    assert line.receive(wire.GOAWAY).head.drain_ms == 300
    error = line.receive(wire.ERROR)
    assert error.request_id == request_id
    assert (error.head.status, error.head.error["code"]) == (502, "request_interrupted")
    assert daemon.wait() == 0
    assert daemon.leftovers() == []


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,) * 3, (signal.SIGINT, signal.SIGTERM, signal.SIGINT)])
def test_signals_that_come_together_are_one(meshd, one, dial, numbers):
    """A terminal and what forwards them (make, uv run) each send one: no request is cut off by that."""
    daemon = meshd(one(tokens=["a ", "b ", "c"], chunk_delay="200ms"))
    line = dial(daemon.socket)
    line.chat(stream=True)
    assert line.receive(wire.CHUNK)
    for number in numbers:
        daemon.signal(number)
    kinds = [line.receive().kind]
    while kinds[-1] in (wire.CHUNK, wire.GOAWAY):
        kinds.append(line.receive().kind)
    assert kinds[-1] == wire.END
    assert daemon.wait() == 0
    assert daemon.leftovers() == []


def test_a_signal_that_comes_again_later_cuts_off(meshd, one, dial, eventually):
    daemon = meshd(one(fault="timeout", daemon={"drain_timeout": "60s"}))
    line = dial(daemon.socket)
    line.chat()
    line.round_trip()
    daemon.signal(signal.SIGTERM)
    assert line.receive(wire.GOAWAY)
    began = time.monotonic()

    def cut_off():
        if "cut off" not in daemon.log():
            daemon.signal(signal.SIGTERM)
        return "cut off" in daemon.log()

    eventually(cut_off)
    assert time.monotonic() - began > 0.8
    assert daemon.wait() in (0, -signal.SIGTERM)  # the last of them may come when nothing is caught any more


def test_a_listener_to_events_does_not_hold_the_end_up(meshd, one, dial):
    daemon = meshd(one())
    line = dial(daemon.socket)
    line.request("/mesh/v1/events", method="GET", stream=True)
    line.round_trip()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(5) == 0


def test_a_signal_during_the_start_ends_it(meshd, one, eventually):
    daemon = meshd(one(), start=False)
    process = daemon.spawn()
    eventually(lambda: (daemon.socket.parent / "mesh.sock.lock").exists() or process.poll() is not None)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.leftovers() == []


def test_sigterm_leaves_no_process(meshd, one, eventually):
    daemon = meshd(one())
    group = daemon.process.pid
    daemon.say()
    assert daemon.stop() == 0
    assert not [process for process in psutil.process_iter() if _group(process) == group]


def _group(process):
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def test_drain_stops_taking_requests_and_says_what_is_left(meshd, one, dial):
    daemon = meshd(one(fault="timeout"))
    line = dial(daemon.socket)
    stuck = line.chat()
    line.round_trip()
    assert daemon.ask("POST", "/mesh/v1/drain", {"timeout": 0.1}) == {"drained": False, "left": 1}
    assert line.receive(wire.GOAWAY)
    line.chat()
    assert line.receive(wire.ERROR).head.error["code"] == "draining"
    line.send(wire.CANCEL, stuck)
    assert line.receive(wire.ERROR).head.status == 499
    assert dial(daemon.socket).welcome.draining
    line.request("/mesh/v1/status", method="GET")
    assert json.loads(line.receive(wire.RESPONSE).body)["draining"]


def test_draining_ends_at_once_when_the_last_request_does(meshd, one, dial):
    daemon = meshd(one(tokens=["a ", "b"], chunk_delay="100ms"))
    line = dial(daemon.socket)
    line.chat(stream=True)
    line.receive(wire.CHUNK)
    assert daemon.ask("POST", "/mesh/v1/drain", {"timeout": 20}) == {"drained": True, "left": 0}
    assert "no new requests until the daemon is started again" in daemon.log()


# -- while it runs ----------------------------------------------------------------------------------------


def test_sigusr1_logs_the_state(meshd, one, eventually):
    daemon = meshd(one())
    daemon.signal(signal.SIGUSR1)
    line = eventually(lambda: next((line for line in daemon.log().splitlines() if "state dump: " in line), None))
    dump = json.loads(line.partition("state dump: ")[2])
    assert set(dump) == {"status", "pools", "models"}
    assert dump["status"]["pid"] == daemon.process.pid


# -- who may do what --------------------------------------------------------------------------------------

AS_ANOTHER = """
import json, os, sys
from modelmesh import OpenAIClient, MeshError, openai_client
from modelmesh.testing import MeshProcess  # all there is, while it can be read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with OpenAIClient(sys.argv[1], timeout=15, max_retries=0) as client:
    found = {"you": client.mesh.describe().you.to_dict()}
    answer = client.chat.completions.create(model="chat-completion", messages=[{"role": "user", "content": "hi"}])
    found["answer"] = answer.choices[0].message.content
    for method, path in json.loads(sys.argv[2]):
        try:
            client.mesh.request(method, path, {} if method == "POST" else None)
            found[path] = 200
        except MeshError as error:
            found[path] = [error.status_code, error.code, type(error).__name__]
print(json.dumps(found))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_operators_commands_are_for_root_and_the_daemons_own_user(meshd, one):
    daemon = meshd(one(daemon={"socket_mode": "0666"}))
    for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
        directory.chmod(0o755)
    admin = [("POST", f"/mesh/v1/{name}") for name in ("rotate", "reload", "probe", "discover", "drain")]
    admin += [("POST", "/mesh/v1/models/activate"), ("POST", "/mesh/v1/models/deactivate"), ("GET", "/mesh/v1/config")]
    open_to_all = [
        ("GET", f"/mesh/v1/{name}") for name in ("status", "pools", "models", "providers", "stats", "events")
    ]
    ended = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER, str(daemon.socket), json.dumps(admin + open_to_all)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["you"]["uid"], found["you"]["gid"]) == (65534, 65534)
    assert found["answer"] == "[scripted] hi"
    assert {path: found[path] for _, path in admin} == {
        path: [403, "access_denied", "AccessDeniedError"] for _, path in admin
    }
    assert {found[path] for _, path in open_to_all} == {200}
    assert not daemon.status()["draining"]


def test_no_daemon_says_how_to_start_one(short):
    with (
        modelmesh.OpenAIClient(short / "none.sock") as client,
        pytest.raises(modelmesh.DaemonUnavailableError, match="meshd"),
    ):
        client.models.list()
