"""Sinks that hang, die, fill up and come back under load: no request fails, and nothing that was promised is lost."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from meshd.cli.show.status import troubles
from modelmesh.errors import NotFoundError
from tests.support.daemons.stress.key_load import Load
from tests.support.telemetry.receiver import Receiver
from tests.support.waiting import until

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


class SyslogServer:
    """Takes frames over TCP, unless it is told not to read."""

    def __init__(self, port: int = 0) -> None:
        self.reads = threading.Event()
        self.reads.set()
        self.server = socket.create_server(("127.0.0.1", port))
        self.port = self.server.getsockname()[1]
        self.got = bytearray()
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                self.connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while self.reads.wait(20) and (data := connection.recv(65536)):
                self.got += data

    def kill(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.reads.set()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def disk(short: Path) -> Iterator[Path]:
    """A file system that is full soon."""
    place = short / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def config(sinks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "providers": {"one": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "hi"}]}},
        "models": {"one.chat": {"provider": "one", "capabilities": ["chat-completion"]}},
        "discovery": {each: {"enabled": False} for each in ("health", "sync", "local")},
        "observability": {"logging": {"connector": sinks, **more}, "routing": "modelmesh.null.v1"},
    }


def requests_in(lines: list[dict[str, Any]]) -> list[str]:
    return [line["request"] for line in lines if line["stream"] == "request"]


def in_file(path: Path) -> list[str]:
    return requests_in([json.loads(line) for line in path.read_text().splitlines()])


def delivered(*receivers: Receiver) -> list[str]:
    """Each batch once, as its id says. Raises for a wrong signature."""
    batches: dict[str, list[dict[str, Any]]] = {}
    for receiver in receivers:
        for headers, body in list(receiver.got):
            batches.setdefault(headers["webhook-id"], Webhook(SECRET).verify(body, headers)["data"])
    return requests_in([entry for entries in batches.values() for entry in entries])


def standing(daemon: Any) -> dict[str, dict[str, Any]]:
    return {sink["sink"]: sink for sink in daemon.status()["sinks"]}


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_all_at_once(meshd: Any, short: Path, disk: Path) -> None:
    (short / "operators.py").write_text(
        textwrap.dedent("""
        import os, pathlib, time
        HERE = pathlib.Path(__file__).parent

        def page(entry):
            if (HERE / "die").exists():
                os._exit(9)
            if (HERE / "hang").exists():
                time.sleep(600)
        """)
    )
    receiver, syslog = Receiver(), SyslogServer()
    log = disk / "requests.jsonl"
    daemon = meshd(
        config(
            [
                {"connector": "modelmesh.file.v1", "path": str(log)},
                {
                    "connector": "modelmesh.webhook.v1", "url": receiver.url, "secret": SECRET, "timeout": "500ms",
                    "batch_interval": "50ms",
                },
                {"connector": "modelmesh.syslog.v1", "address": f"tcp://127.0.0.1:{syslog.port}", "timeout": "500ms"},
                {"connector": "modelmesh.callback.v1", "function": "operators:page", "timeout": "300ms"},
            ]
        ),
        env={"PYTHONPATH": str(short)},
    )  # fmt: skip

    async def run() -> Load:
        nonlocal receiver, syslog
        port = receiver.server_address[1]
        async with Load(daemon, width=8, models=["one.chat"]) as load:
            await load.more(50)
            fill(disk)
            receiver.gate.clear()  # hung
            syslog.reads.clear()
            (short / "hang").touch()
            await load.more(100)
            found = await asyncio.to_thread(
                until, lambda: (now := standing(daemon))["file"]["error"] and now["webhook"]["error"] and now
            )
            assert "No space left" in found["file"]["error"]
            assert found["webhook"]["waiting"] > 0
            told = [text for text, _ in troubles(daemon.status())]
            assert any("No space left" in text for text in told)
            receiver.stop()  # dead
            syslog.kill()
            (short / "die").touch()
            await load.more(100)
            (disk / "filler").unlink()  # and back
            for name in ("hang", "die"):
                (short / name).unlink()
            before, receiver = receiver, Receiver(port=port)
            receiver.got[:0] = list(before.got)
            syslog = SyslogServer(syslog.port)
            await load.more(50)
        return load

    load = asyncio.run(run())
    assert load.failed == []
    until(lambda: all(not sink["waiting"] for sink in standing(daemon).values()), 120)
    last = daemon.say("hi", "one.chat")
    assert last.choices
    until(lambda: len(in_file(log)) == load.served + 1)
    assert len(set(in_file(log))) == load.served + 1
    until(lambda: len(delivered(receiver)) == load.served + 1)
    assert delivered(receiver) == in_file(log), "in order, and each once by its batch's id"
    until(lambda: in_file(log)[-1].encode() in syslog.got)
    found = standing(daemon)
    assert (found["file"]["dropped"], found["webhook"]["dropped"]) == (0, 0)
    assert found["callback"]["dropped"] > 0
    assert {sink["error"] for sink in found.values()} == {""}
    assert daemon.stop() == 0
    receiver.stop()
    syslog.kill()


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def test_what_a_killed_daemon_had_on_disk_is_delivered_by_the_next(meshd: Any) -> None:
    receiver = Receiver(503)
    sink = {"connector": "modelmesh.webhook.v1", "url": receiver.url, "secret": SECRET, "batch_interval": "10ms"}
    daemon = meshd(config([sink]))
    for _ in range(5):
        daemon.say("hi", "one.chat")
    spool = next(daemon.state.glob("webhook-*"))
    until(lambda: sum(path.read_text().count('"stream":"request"') for path in spool.iterdir()) == 5)
    daemon.kill()
    receiver.statuses = [204]
    receiver.got.clear()
    daemon.start()
    until(lambda: len(delivered(receiver)) == 5)
    receiver.stop()


def test_a_secret_is_replaced_by_a_reload_and_shown_nowhere(meshd: Any, short: Path) -> None:
    other = "whsec_" + "b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz"
    receiver = Receiver()
    keys = short / "keys.env"
    keys.write_text(f"HOOK={other}\n")
    keys.chmod(0o600)
    sinks = [{"connector": "modelmesh.webhook.v1", "url": receiver.url, "batch_interval": "10ms"}]
    sinks[0]["secret"] = "${secrets:HOOK}"
    daemon = meshd({**config(sinks), "secrets": {"store": "modelmesh.dotenv.v1", "path": str(keys)}})
    daemon.say(f"is {other} yours?", "one.chat")
    until(lambda: len(receiver.got) > 0 and not standing(daemon)["webhook"]["waiting"])
    for headers, body in receiver.got:
        Webhook(other).verify(body, headers)
    receiver.got.clear()
    keys.write_text(f"HOOK={SECRET}\n")
    daemon.ask("POST", "/mesh/v1/reload")
    daemon.say("hi", "one.chat")
    until(lambda: any('"stream":"request"' in body.decode() for _, body in receiver.got))
    assert len(delivered(receiver)) == 1
    assert standing(daemon)["webhook"]["error"] == ""
    with pytest.raises(NotFoundError):
        daemon.say("hi", f"a-model-called-{SECRET}")
    shown = json.dumps([daemon.status(), daemon.ask("GET", "/mesh/v1/config"), daemon.ask("GET", "/mesh/v1/requests")])
    until(lambda: len(delivered(receiver)) == 2)
    said = b"".join(body for _, body in receiver.got).decode()
    for secret in (SECRET, other):
        assert secret not in shown
        assert secret not in said
        assert secret not in daemon.log()
    receiver.stop()


def test_a_standard_output_that_is_not_read_slows_no_request_and_not_the_end(meshd: Any, short: Path) -> None:
    """A full pipe: what collects a container's output hangs."""
    read, write = os.pipe()
    daemon = meshd(config([{"connector": "modelmesh.json-log.v1"}]), start=False, python=sys.executable)
    daemon.options["pass_fds"] = (write,)
    daemon.options["preexec_fn"] = lambda: os.dup2(write, 1)
    daemon.start()
    text = "x" * 1000
    for _ in range(100):
        daemon.say(text, "one.chat")
    found = until(lambda: (now := standing(daemon)["json-log"])["waiting"] > 0 and now)
    assert found["error"] == ""
    assert daemon.stop() == 0
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        lines = pipe.read().splitlines()
    assert all(json.loads(line)["stream"] for line in lines[:-1])
