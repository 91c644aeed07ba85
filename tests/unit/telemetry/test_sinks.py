"""Sinks write what they should; a sink that is slow or dead loses only its own entries."""

from __future__ import annotations

import array
import io
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from meshd.compilation.before_start.sinks import objections_to
from meshd.config import MeshConfig
from meshd.connectors.observability.console import ConsoleSink
from meshd.connectors.observability.file import FileSink
from meshd.connectors.observability.journal import JournalSink
from meshd.core.events.records import Attempt, Outcome
from meshd.sdk.observability import Entry, Sink
from meshd.telemetry import records
from meshd.telemetry.queue import SinkQueue, size_of
from meshd.telemetry.sinks import Sinks
from tests.support.waiting import until


def entry(message: str = "hello", stream: str = "log", severity: str = "info", **fields: Any) -> Entry:
    return Entry(stream, 1_760_000_000_000_000_000, severity, message, fields)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_console_colours_only_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, terminal = io.StringIO(), Terminal()
    for stream in (plain, terminal):
        ConsoleSink(stream=stream).write(entry("it \x1b[2Jbroke", severity="error", traceback="Traceback\n  x"))
    assert "\x1b" not in plain.getvalue()
    assert "it \\x1b[2Jbroke\n    Traceback\n      x\n" in plain.getvalue()
    assert terminal.getvalue().startswith("\x1b[31m")
    monkeypatch.setenv("NO_COLOR", "1")
    dull = Terminal()
    ConsoleSink(stream=dull).write(entry(severity="error"))
    assert "\x1b" not in dull.getvalue()


# -- journal -------------------------------------------------------------------------------------------


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        server.settimeout(5)
        monkeypatch.setattr(JournalSink, "path", str(tmp_path / "journal"))
        yield server


def test_journal_fields(journald: socket.socket) -> None:
    sink = JournalSink()
    sink.write(
        entry(
            "two\nlines",
            "event",
            "warning",
            pool="chat",
            why="two\nlines",
            model="p/m",
            request="ab",
            attempts=[1],
            none=None,
        )
    )
    data = journald.recv(65536)
    assert b"MESH_WHY\n" + (9).to_bytes(8, "little") + b"two\nlines\n" in data
    for line in (
        b"MESSAGE=two lines",
        b"PRIORITY=4",
        b"MESH_POOL=chat",
        b"MESH_MODEL=p/m",
        b"MESH_REQUEST=ab",
        b"MESH_ATTEMPTS=[1]",
    ):
        assert line + b"\n" in data
    assert b"NONE" not in data
    sink.close()


def test_journal_sends_a_large_entry_as_a_memory_file(journald: socket.socket) -> None:
    JournalSink().write(entry("x" * 2_000_000))
    data, ancillary, _, _ = journald.recvmsg(65536, socket.CMSG_SPACE(4))
    assert data == b""
    fd = array.array("i", ancillary[0][2])[0]
    try:
        assert os.fstat(fd).st_size > 2_000_000
        assert os.pread(fd, 12, 0) == b"MESSAGE=xxxx"
    finally:
        os.close(fd)


def test_without_a_journal_lines_go_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(JournalSink, "path", str(tmp_path / "absent"))
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    sink = JournalSink()
    sink.write(entry())
    sink.flush()
    assert "hello" in capsys.readouterr().err


# -- file ----------------------------------------------------------------------------------------------


def test_file_writes_json_lines_and_rotates(tmp_path: Path) -> None:
    path = tmp_path / "log" / "mesh.jsonl"
    sink = FileSink({"path": str(path), "max_size": 400, "keep": 2})
    for number in range(20):
        sink.write(entry(f"message {number}", pool="chat"))
        if number % 3 == 0:
            sink.flush()
    sink.flush()
    assert sorted(os.listdir(path.parent)) == ["mesh.jsonl", "mesh.jsonl.1", "mesh.jsonl.2"]
    lines = []
    for name in ("mesh.jsonl.2", "mesh.jsonl.1", "mesh.jsonl"):
        file = path.with_name(name)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.stat().st_size <= 400
        lines += [json.loads(line) for line in file.read_text().splitlines()]
    numbers = [int(line["message"].split()[1]) for line in lines]
    assert numbers == list(range(numbers[0], 20))
    assert lines[0]["pool"] == "chat"
    assert lines[0]["time"] == "2025-10-09T08:53:20.000000+00:00"
    sink.close()


# -- queue ---------------------------------------------------------------------------------------------


class Scripted(Sink):
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fail = 0
        self.closed = 0

    def write(self, entry: Entry) -> None:
        self.entered.set()
        self.gate.wait(5)
        if self.fail:
            self.fail -= 1
            raise OSError("dead")
        self.messages.append(entry.message)

    def close(self) -> None:
        self.closed += 1


def test_a_queue_writes_in_order_and_closes() -> None:
    sink = Scripted()
    queue = SinkQueue("s", lambda: sink)
    for number in range(1000):
        queue.put(entry(str(number)))
    assert queue.drain(5)
    assert sink.messages == [str(number) for number in range(1000)]
    queue.close()
    queue.put(entry("late"))
    assert queue.status()["dropped"] == 1


def test_a_slow_sink_drops_and_says_how_many() -> None:
    sink = Scripted()
    sink.gate.clear()
    queue = SinkQueue("s", lambda: sink, limit=11 * size_of(entry("0")))
    queue.put(entry("0"))
    assert sink.entered.wait(5)
    for _ in range(100):
        queue.put(entry("1"))
    assert queue.status()["dropped"] == 90
    assert queue.status()["waiting"] == 11
    queue.put(entry("x" * 100_000))
    assert queue.status()["dropped"] == 91
    assert not queue.drain(0.01)
    sink.gate.set()
    assert queue.drain(5)
    assert len(sink.messages) == 11
    queue.put(entry("again"))
    assert queue.drain(5)


def test_the_size_of_an_entry_is_that_of_all_its_texts() -> None:
    fields = {"prompt": "x" * 1000, "attempts": [{"message": "y" * 500}, {}], "status": 200, "none": None}
    assert 1500 < size_of(entry("hello", **fields)) < 3000


class Lasting(Scripted):
    lasting = True

    def status(self) -> dict[str, Any]:
        return {"waiting": 3, "dropped": 2, "error": "the server is away"}


def test_a_lasting_sink_is_made_at_once_and_kept_when_writing_fails() -> None:
    sink, made = Lasting(), threading.Event()

    def make() -> Sink:
        assert not made.is_set(), "it was made twice"
        made.set()
        return sink

    queue = SinkQueue("s", make, sleep=lambda seconds: None)
    queue.wake()
    assert made.wait(5)
    assert queue.status() == {"sink": "s", "written": 0, "waiting": 3, "dropped": 2, "error": "the server is away"}
    sink.fail = 2
    for number in range(3):
        queue.put(entry(str(number)))
    until(lambda: len(sink.messages) == 3)
    assert sink.messages == ["0", "1", "2"]
    queue.close(5)
    queue.join(5)
    assert sink.closed == 1
    assert queue.status()["dropped"] == 2


def test_a_sink_whose_status_fails_is_shown_with_that() -> None:
    class Broken(Scripted):
        def status(self) -> dict[str, Any]:
            raise RuntimeError("no status")

    queue = SinkQueue("s", Broken)
    queue.put(entry())
    assert queue.drain(5)
    assert queue.status()["error"] == "RuntimeError: no status"
    queue.close()


def test_a_dead_sink_is_tried_again_and_loses_nothing_that_fits() -> None:
    sink = Scripted()
    sink.fail = 3
    waits: list[float] = []
    troubles: list[str] = []
    queue = SinkQueue("s", lambda: sink, on_trouble=lambda name, error: troubles.append(error), sleep=waits.append)
    for number in range(5):
        queue.put(entry(str(number)))
    until(lambda: queue.drain(0.05))
    assert sink.messages == ["0", "1", "2", "3", "4"]
    assert waits == [1.0, 2.0, 4.0]
    assert troubles == ["dead"]
    assert queue.status()["error"] == ""


def test_closing_with_a_stuck_sink_does_not_wait_for_it() -> None:
    sink = Scripted()
    sink.gate.clear()
    queue = SinkQueue("s", lambda: sink)
    queue.put(entry())
    assert sink.entered.wait(5)
    queue.put(entry())
    queue.close(0.01)
    assert queue.status()["dropped"] == 1
    sink.gate.set()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mesh.jsonl"
    sink = FileSink({"path": str(path)})
    sink.write(entry("first"))
    sink.flush()
    write = os.write
    calls: list[int] = []

    def short(fd: int, data: Any) -> int:
        if not os.path.samestat(os.fstat(fd), os.stat(path)):
            return write(fd, data)
        calls.append(1)
        if len(calls) == 1:
            return write(fd, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short)
    sink.write(entry("second"))
    with pytest.raises(OSError, match="No space"):
        sink.flush()
    monkeypatch.undo()
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["first"]


def test_a_sink_of_events_gets_no_log_lines(tmp_path: Path) -> None:
    parts = {part: {"connector": "modelmesh.file.v1", "path": str(tmp_path / part)} for part in ("routing", "logging")}
    sinks = Sinks()
    sinks.configure(MeshConfig.from_dict({"observability": parts}, environ={}).observability, "debug", tmp_path)
    sinks.put(entry("a line", "log"))
    sinks.put(entry("an event", "event"))
    sinks.close(5.0)
    lines = {part: (tmp_path / part).read_text() for part in ("routing", "logging")}
    assert ("an event" in lines["routing"], "a line" in lines["routing"]) == (True, False)
    assert ("an event" in lines["logging"], "a line" in lines["logging"]) == (False, True)


def test_sinks_are_told_money_in_dollars() -> None:
    row = {"scope": "app", "name": "a", "requests_total": 1, "requests_failed": 0, "cost_total": 1_500_000_000}
    assert records.statistics_entry(row, 0).fields["cost_total"] == 1.5
    outcome = Outcome("ab", 0.0, "chat", "m", 200, cost=2_000_000)
    assert records.request_entry(outcome).fields["cost"] == 0.002


def test_the_request_log_has_the_units_of_a_request_and_of_its_attempts() -> None:
    attempts = (Attempt("m", "p", True, units={"searches": 2}), Attempt("n", "p", True))
    outcome = Outcome("ab", 0.0, "rerank", "m", 200, attempts=attempts, units={"searches": 2})
    fields = records.request_entry(outcome).fields
    assert fields["units"] == {"searches": 2}
    assert [each.get("units") for each in fields["attempts"]] == [{"searches": 2}, None]
    assert "units" not in records.request_entry(Outcome("ab", 0.0, "chat", "m", 200)).fields


def test_of_readings_that_wait_only_the_last_is_kept() -> None:
    sink = Scripted()
    sink.gate.clear()
    queue = SinkQueue("s", lambda: sink)
    queue.put(entry("first"))
    assert sink.entered.wait(5)
    queue.put(entry("a line"))
    for number in range(3):
        queue.put_latest(entry(str(number), "metrics"))
    sink.gate.set()
    assert queue.drain(5)
    assert sink.messages == ["first", "a line", "2"]
    queue.close()


def test_traces_go_only_to_sinks_that_take_them() -> None:
    tracing = {"connector": ["modelmesh.null.v1", "opentelemetry.otlp.v1"]}
    config = MeshConfig.from_dict({"observability": {"tracing": tracing}}, environ={})
    (objection,) = objections_to(config.observability)
    assert str(objection) == "observability.tracing.connector: modelmesh.null.v1 takes no traces"


def test_entries_wait_for_others_of_their_batch_unless_they_are_drained() -> None:
    sink = Scripted()
    queue = SinkQueue("s", lambda: sink, linger=60.0)
    for number in range(3):
        queue.put(entry(str(number)))
    assert queue.drain(5)
    assert sink.messages == ["0", "1", "2"]
    queue.close()
