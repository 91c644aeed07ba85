"""A function of Python that gets entries: whatever it does, it does in a process of its own."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.observability.callback.sink import CallbackSink
from meshd.sdk.observability import Entry
from tests.support.waiting import until

FUNCTIONS = """
    import json, os, pathlib, sys, threading, time

    HERE = pathlib.Path(__file__).parent

    def keep(entry):
        print("what is printed is not mistaken for an answer")
        with (HERE / "kept").open("a") as file:
            file.write(json.dumps(entry) + "\\n")

    class Teller:
        @staticmethod
        def environment(entry):
            (HERE / "environ").write_text(json.dumps([dict(os.environ), sys.path, os.getpid()]))

    def odd(entry):
        keep(entry)
        if entry["message"] == "raise":
            raise ValueError("of the function\\nin two lines")
        if entry["message"] == "leave":
            sys.exit(3)
        if entry["message"] == "die":
            os._exit(7)
        if entry["message"] == "hang":
            time.sleep(600)

    def linger(entry):
        (HERE / "pid").write_text(str(os.getpid()))
        threading.Event().wait(600)

    nothing = 1
"""


def entry(message: str = "hello") -> Entry:
    return Entry("event", 1_000_000_000, "info", message, {"pool": "chat"})


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "of_an_operator.py").write_text(textwrap.dedent(FUNCTIONS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def sink(functions: Path) -> Iterator[Any]:
    made: list[CallbackSink] = []

    def make(function: str, **settings: Any) -> CallbackSink:
        made.append(CallbackSink({"function": f"of_an_operator:{function}", **settings}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def kept(directory: Path) -> list[str]:
    return [json.loads(line)["message"] for line in (directory / "kept").read_text().splitlines()]


def test_a_function_gets_each_entry_in_order(functions: Path, sink: Any) -> None:
    callback = sink("keep")
    for number in range(5):
        callback.write(entry(str(number)))
    assert kept(functions) == ["0", "1", "2", "3", "4"]
    first = json.loads((functions / "kept").read_text().splitlines()[0])
    assert (first["stream"], first["pool"], first["time"]) == ("event", "chat", "1970-01-01T00:00:01.000000+00:00")
    assert callback.status() == {"dropped": 0, "error": ""}


def test_its_process_has_no_key_and_does_not_look_where_the_daemon_was_started(
    functions: Path, sink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("PAGER_TOKEN", "given")
    (functions / "elsewhere").mkdir()
    monkeypatch.chdir(functions / "elsewhere")
    sink("Teller.environment", environment=["PAGER_TOKEN"]).write(entry())
    environ, path, pid = json.loads((functions / "environ").read_text())
    assert "OPENAI_API_KEY" not in environ
    assert environ["PAGER_TOKEN"] == "given"
    assert "" not in path
    assert os.getcwd() not in path
    assert pid != os.getpid()


def test_what_goes_wrong_in_it_costs_that_entry(functions: Path, sink: Any) -> None:
    callback = sink("odd", timeout=1.0, restarts=1)
    callback.write(entry("raise"))
    assert callback.status() == {
        "dropped": 1,
        "error": "of_an_operator:odd failed: ValueError: of the function in two lines",
    }
    callback.write(entry("leave"))
    assert callback.status()["dropped"] == 2
    callback.write(entry("die"))
    assert callback.status()["error"] == "of_an_operator:odd: its process ended with status 7"
    callback.write(entry("hang"))
    assert callback.status()["error"].endswith("it took too long, so its process was ended")
    assert callback.status()["dropped"] == 4
    callback.write(entry("fine"))
    assert callback.status() == {"dropped": 4, "error": ""}
    assert kept(functions) == ["raise", "leave", "die", "die", "hang", "fine"]


@pytest.mark.parametrize("function", ["absent", "nothing", "Teller.absent"])
def test_a_function_that_is_not_there_makes_entries_wait(sink: Any, function: str) -> None:
    with pytest.raises(OSError, match="cannot be called"):
        sink(function).write(entry())


def test_its_process_ends_with_the_daemon(functions: Path, sink: Any) -> None:
    callback = sink("linger", timeout=30.0)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # a daemon that is killed while the function hangs
        os.close(read)
        try:
            callback.write(entry())
        finally:
            os._exit(0)
    os.close(write)
    os.close(read)
    child = int(until(lambda: (functions / "pid").exists() and (functions / "pid").read_text()))
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    began = time.monotonic()
    until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2])
    assert time.monotonic() - began < 15
