"""The router of a real daemon dies, on a socket of its own and on one handed in: its clients go on."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import modelmesh
from tests.support.daemons.stress.dying import crashing

HAND_IN = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="mesh")
os.execv(sys.executable, [sys.executable, "-m", "meshd", *sys.argv[2:]])
"""

CONFIG = """\
providers: {one: {connector: modelmesh.scripted.v1}}
models: {one.chat: {provider: one, capabilities: [chat-completion]}}
daemon: {socket_mode: "0666"}
"""


@pytest.fixture
def crasher(short):
    return crashing(short, "RouterActor", "messages.HealthReport([], True, 1.0, 0.0)")


def say(client):
    asked = client.chat.completions.create(model="chat-completion", messages=[{"role": "user", "content": "hi"}])
    return asked.choices[0].message.content


def crash(client, short, eventually, times):
    (short / "crash").touch()

    def back():
        router = client.mesh.request("GET", "/mesh/v1/status").to_dict()["actors"]
        return next(actor for actor in router if actor["name"] == "router")["restarts"] == times

    eventually(back, what="the router is started again")


def test_a_router_that_dies_is_back_on_its_socket_for_the_same_users(meshd, short, crasher, eventually):
    daemon = meshd(CONFIG, env=crasher)
    before = daemon.socket.stat()
    assert stat.S_IMODE(before.st_mode) == 0o666
    client = daemon.client()
    assert say(client)
    for times in (1, 2, 3):
        crash(client, short, eventually, times)
        found = daemon.socket.stat()
        assert (found.st_mode, found.st_uid, found.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
        assert say(client)  # the same connection's
        assert say(daemon.client())  # and another's
    assert daemon.stop() == 0
    assert daemon.leftovers() == []


def test_a_router_that_dies_is_back_on_a_socket_that_was_handed_in(short, crasher, eventually):
    config, path = short / "mesh.yaml", short / "h"
    config.write_text(CONFIG)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o660)
        listening.listen(128)
        environment = {
            **os.environ,
            **crasher,
            "STATE_DIRECTORY": str(short / "state"),
            "XDG_DATA_HOME": str(short / "data"),
            "HOME": str(short),
        }
        with open(short / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", HAND_IN, str(listening.fileno()), "--config", str(config)],
                pass_fds=[listening.fileno()],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[3],
            )
        try:
            with modelmesh.OpenAIClient(path, timeout=20, max_retries=0) as client:
                assert say(client)
                for times in (1, 2, 3):
                    crash(client, short, eventually, times)
                    assert say(client)
                    with modelmesh.OpenAIClient(path, timeout=20, max_retries=0) as another:
                        assert say(another)
                    assert process.poll() is None, (short / "log").read_text()
                assert stat.S_IMODE(path.stat().st_mode) == 0o660  # the service manager's to decide
        finally:
            process.terminate()
            try:
                assert process.wait(20) == 0, (short / "log").read_text()
            finally:
                process.kill()
