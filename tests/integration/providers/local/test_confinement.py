"""The process of an embedded model, whose engine has turned against its user: what it still can do, also where the
kernel or a container lacks a part of what confines it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.providers.embedded.confinement import ALL, CALLS, FILES, NETWORK
from tests.support.daemons.daemon import Daemon
from tests.support.processes.lacking import without

ENGINE = """
import ctypes, json, os, signal, socket, subprocess, sys, threading
from types import SimpleNamespace

libc = ctypes.CDLL(None, use_errno=True)

def attempt(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

def called(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as line:
        line.settimeout(2)
        line.connect(address)

def send(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(b"x", path)

class CommonParams:
    def __init__(self):
        self.model = SimpleNamespace()
        self.cpuparams, self.cpuparams_batch = SimpleNamespace(), SimpleNamespace()

class Server:
    def __init__(self, parameters):
        place = json.load(open(os.path.join(os.path.dirname(__file__), "place.json")))
        weights, runtime = parameters.model.path, os.path.dirname(parameters.hostnames[0])
        found = {
            "reads its weights": attempt(lambda: open(weights).read()),
            "binds its socket": attempt(lambda: self.serve(parameters.hostnames[0])),
            "connects by TCP": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", place["port"]))),
            "sends by UDP": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", 9), socket.SOCK_DGRAM)),
            "connects to the mesh": attempt(lambda: connect(socket.AF_UNIX, place["mesh"])),
            "connects to an abstract socket": attempt(lambda: connect(socket.AF_UNIX, chr(0) + place["abstract"])),
            "sends to a UNIX socket": attempt(lambda: send(place["mesh"])),
            "listens on TCP": attempt(lambda: socket.create_server(("127.0.0.1", 0)).close()),
            "reads a key": attempt(lambda: open(place["key"]).read()),
            "reads the daemon's keys": attempt(lambda: open(f"/proc/{os.getppid()}/environ").read()),
            "reads the current directory": attempt(lambda: os.listdir(".")),
            "reads other weights": attempt(lambda: open(os.path.join(os.path.dirname(weights), "other")).read()),
            "writes beside the key": attempt(lambda: open(place["key"] + ".new", "w").close()),
            "writes its weights": attempt(lambda: open(weights, "a").close()),
            "writes in /tmp": attempt(lambda: open("/tmp/meshd-confined", "w").close()),
            "writes its own package": attempt(lambda: open(__file__, "a").close()),
            "opens up the key": attempt(lambda: os.chmod(place["key"], 0o666)),
            "removes the key": attempt(lambda: os.unlink(place["key"])),
            "renames the key": attempt(lambda: os.rename(place["key"], os.path.join(runtime, "key"))),
            "links the key": attempt(lambda: os.link(place["key"], os.path.join(runtime, "key"))),
            "kills the daemon": attempt(lambda: os.kill(os.getppid(), 0)),
            "runs a program": attempt(lambda: subprocess.run(["true"])),
            "traces the daemon": attempt(lambda: called(libc.ptrace, 0x4206, os.getppid(), 0, 0)),
            "becomes root of a namespace": attempt(lambda: called(libc.unshare, 0x10000000)),
        }
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        found["status"] = {name: status[name].split()[0] for name in ("CapEff", "CapPrm", "NoNewPrivs", "Seccomp")}
        print(json.dumps(found), file=sys.stderr, flush=True)
        self.listening_address = "unix:" + parameters.hostnames[0]

    def serve(self, path):
        self.line = socket.socket(socket.AF_UNIX)
        self.line.bind(path)
        self.line.listen()
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self):
        while True:
            line, _ = self.line.accept()
            body = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "here"}}]}'
            line.recv(65536)
            head = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n"
            line.sendall(head % len(body) + body)
"""
MAY = ("reads its weights", "binds its socket")


HELD_BY = {
    ("reads a key", "reads the current directory", "reads other weights", "writes beside the key"): {FILES},
    ("writes its weights", "writes in /tmp", "writes its own package"): {FILES},
    ("removes the key", "renames the key", "links the key"): {FILES},
    ("connects to the mesh", "sends to a UNIX socket", "opens up the key", "runs a program"): {CALLS},
    ("becomes root of a namespace",): {CALLS},
    ("sends by UDP",): {CALLS, NETWORK},
    ("kills the daemon",): {CALLS, FILES},
    ("connects by TCP", "listens on TCP", "connects to an abstract socket"): {CALLS, FILES, NETWORK},
    ("traces the daemon", "reads the daemon's keys"): {CALLS, FILES, NETWORK},
}
"""Attempts, and the parts of which each alone keeps it from them."""
Turned = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def place(short: Path) -> Iterator[Path]:
    """A directory with an engine, weights, a key, and sockets that it may look for."""
    for folder in ("engine/xllamacpp", "run", "weights", "etc", "home"):
        (short / folder).mkdir(mode=0o700, parents=True)
    (short / "engine").chmod(0o700)
    (short / "engine/xllamacpp/__init__.py").write_text(ENGINE)
    (short / "weights/model.gguf").write_text("weights")
    (short / "weights/other").write_text("others")
    (short / "etc/key").write_text("secret")
    (short / "etc/key").chmod(0o600)
    name = f"meshd-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as mesh,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        mesh.bind(str(short / "mesh.sock"))
        mesh.listen()
        abstract.bind(f"\0{name}")
        abstract.listen()
        found = {"port": tcp.getsockname()[1], "mesh": str(short / "mesh.sock"), "key": str(short / "etc/key")}
        (short / "engine/xllamacpp/place.json").write_text(json.dumps(found | {"abstract": name}))
        yield short


@pytest.fixture
def turned(place: Path) -> Turned:
    """Calls a real child, and returns what it says of its attempts, and what confines it."""

    def start(*absent: str, **environment: str) -> tuple[dict[str, Any], list[str]]:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "meshd.connectors.providers.embedded.llm_child", "--alias", "m"),
                *("--socket", str(place / "run/m.sock"), "--model", str(place / "weights/model.gguf")),
                *("--context", "512"),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place / "home",
            env={**os.environ, "PYTHONPATH": str(place / "engine"), **environment},
            preexec_fn=without(*absent) if absent else None,
        )  # fmt: skip
        try:
            assert child.stdout is not None
            assert child.stderr is not None
            ready, *confined = child.stdout.readline().split() or ["ended"]
            assert ready == "ready", child.stderr.read()
            return json.loads(child.stderr.readline()), confined
        finally:
            child.communicate(timeout=20)  # closes its standard input, so that it ends

    return start


@pytest.fixture
def whole(turned: Turned) -> dict[str, Any]:
    """What a child attempts where nothing is missing."""
    found, confined = turned()
    if set(confined) != set(ALL):
        pytest.skip(f"this kernel or container gives only: {confined}")
    return found


def test_it_reads_its_weights_serves_its_socket_and_nothing_else(whole: dict[str, Any], place: Path) -> None:
    status = whole.pop("status")
    assert {name: whole.pop(name) for name in MAY} == dict.fromkeys(MAY, "done")
    assert {name: said for name, said in whole.items() if said != "PermissionError"} == {}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert [each.read_text() for each in (place / "etc").iterdir()] == ["secret"]
    assert list((place / "run").iterdir()) == []


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(
    ("absent", "missing"),
    [
        (["Landlock"], {FILES}),
        (["Landlock, switched off at boot"], {FILES}),
        (["rules of Landlock"], {FILES}),
        (["Landlock for itself"], {FILES}),
        (["seccomp"], {CALLS}),
        (["namespaces"], set()),  # the filter of calls keeps it from networks as well
        (["seccomp", "namespaces"], {CALLS, NETWORK}),
        (["seccomp", "namespaces, all in use"], {CALLS, NETWORK}),
        (["Landlock", "seccomp", "namespaces"], set(ALL)),
    ],
)
def test_what_is_missing_is_said_and_the_rest_holds(turned: Turned, absent: list[str], missing: set[str]) -> None:
    found, confined = turned(*absent)
    assert set(ALL) - set(confined) == missing
    judge(found, missing)


@pytest.mark.usefixtures("whole")
def test_without_libseccomp_the_rest_holds(turned: Turned, place: Path) -> None:
    (place / "lib").mkdir()
    (place / "lib/libseccomp.so.2").write_text("no library")
    found, confined = turned(LD_LIBRARY_PATH=str(place / "lib"))
    assert set(confined) == {NETWORK, FILES}
    judge(found, {CALLS})


def judge(found: dict[str, Any], missing: set[str]) -> None:
    status = found.pop("status")
    assert {name: found.pop(name) for name in MAY} == dict.fromkeys(MAY, "done")
    held = {name: parts - missing for names, parts in HELD_BY.items() for name in names}
    assert held.keys() == found.keys()
    assert {name: held[name] for name, said in found.items() if said == "done" and held[name]} == {}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"


@pytest.mark.usefixtures("whole")
def test_the_status_and_doctor_say_what_is_missing(place: Path) -> None:
    config = {
        "providers": {"local": {"connector": "modelmesh.local-llm.v1", "model": str(place / "weights/model.gguf")}},
        "daemon": {"watch": False},
    }
    daemon = Daemon(
        place, config, env={"PYTHONPATH": str(place / "engine")}, preexec_fn=without("Landlock", "namespaces")
    )
    daemon.config.chmod(0o600)
    try:
        assert daemon.start().status()["notes"] == []
        assert daemon.say(model="local.model").choices[0].message.content == "here"
        (note,) = daemon.status()["notes"]
        what, _, needed = note.partition("; needed: ")
        inside = "isolation from networks, a filter of system calls"
        assert (what, "5.13" in needed) == (f"embedded models run without Landlock (in force: {inside})", True)
        assert note in daemon.log()
        command = [sys.executable, "-m", "meshd.cli", "--socket", str(daemon.socket), "doctor"]
        said = subprocess.run(
            command, env={**os.environ, "HOME": str(place)}, capture_output=True, text=True, timeout=60, check=False
        ).stdout
        assert f"note: {what}" in said
    finally:
        daemon.close()
