"""The process of an embedded model, whose engine has turned against its user: what it still can do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.providers.embedded.confinement import ALL

ENGINE = """
import ctypes, json, os, signal, socket, subprocess, sys
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
"""
MAY = ("reads its weights", "binds its socket")


@pytest.fixture
def turned(short: Path) -> Any:
    """What a real child says of its attempts, and what confines it."""
    folders = {name: short / name for name in ("engine", "run", "weights", "etc", "home")}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
    (folders["engine"] / "xllamacpp").mkdir()
    (folders["engine"] / "xllamacpp/__init__.py").write_text(ENGINE)
    (folders["weights"] / "model.gguf").write_text("weights")
    (folders["weights"] / "other").write_text("others")
    key = folders["etc"] / "key"
    key.write_text("secret")
    key.chmod(0o600)
    child = None
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as mesh:
        mesh.bind(str(short / "mesh.sock"))
        mesh.listen()
        abstract = socket.socket(socket.AF_UNIX)
        name = f"meshd-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        place = {"port": tcp.getsockname()[1], "mesh": str(short / "mesh.sock"), "key": str(key), "abstract": name}
        (folders["engine"] / "xllamacpp/place.json").write_text(json.dumps(place))
        try:
            child = subprocess.Popen(
                [
                    *(sys.executable, "-m", "meshd.connectors.providers.embedded.llm_child", "--alias", "m"),
                    *("--socket", str(folders["run"] / "m.sock"), "--model", str(folders["weights"] / "model.gguf")),
                    *("--context", "512"),
                ],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folders["home"],
                env={**os.environ, "PYTHONPATH": str(folders["engine"])},
            )  # fmt: skip
            assert child.stdout is not None
            assert child.stderr is not None
            ready, *confined = child.stdout.readline().split() or ["ended"]
            assert ready == "ready", child.stderr.read()
            yield json.loads(child.stderr.readline()), confined
        finally:
            abstract.close()
            if child is not None:
                child.communicate(timeout=20)  # closes its standard input, so that it ends
    assert key.read_text() == "secret"
    assert list(folders["etc"].iterdir()) == [key]
    assert list(folders["run"].iterdir()) == []


def test_it_reads_its_weights_serves_its_socket_and_nothing_else(turned: Any) -> None:
    found, confined = turned
    if set(confined) != set(ALL):
        pytest.skip(f"this kernel or container gives only: {confined}")
    status = found.pop("status")
    assert {name: found.pop(name) for name in MAY} == dict.fromkeys(MAY, "done")
    assert {name: said for name, said in found.items() if said != "PermissionError"} == {}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
