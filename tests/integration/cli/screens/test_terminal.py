"""`meshctl` at a terminal: conversations, Ctrl-C, broken pipes, colours, live events."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from typing import Any

import psutil
import pytest

PATIENCE = 20.0


def _take_terminal() -> None:
    """In the child: a session of its own, whose controlling terminal is its stdin, so that Ctrl-C is SIGINT."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command with a terminal of its own."""

    def __init__(self, launch: Any, *words: str, **given: str) -> None:
        self._ours, theirs = pty.openpty()
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        self.process = launch(*words, **ends, TERM="xterm", **given, preexec_fn=_take_terminal)
        os.close(theirs)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode(errors="surrogateescape"))

    def wait_for(self, pattern: str) -> str:
        """What was shown up to the pattern, which is taken away."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} did not come, but {self.seen!r}"
            self._read(deadline)
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def end(self) -> tuple[int, str]:
        """Wait for the command's end: its exit code, and the rest of what it showed."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            assert time.monotonic() < deadline, f"it does not end: {self.seen!r}"
        code = self.process.wait(PATIENCE)
        return code, self.seen

    def close(self) -> None:
        os.close(self._ours)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        try:
            data = os.read(self._ours, 65536) if ready else b""
        except OSError:  # EIO: the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


@pytest.fixture
def terminal(launch: Any) -> Any:
    opened: list[Terminal] = []

    def open_one(*words: str, **given: str) -> Terminal:
        opened.append(Terminal(launch, *words, **given))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def test_conversation(terminal: Any) -> None:
    talk = terminal("chat", "talk")
    talk.wait_for("> ")
    talk.type("Say hello\n")
    assert "Hello from the first" in talk.wait_for("attempt.*\n")
    talk.wait_for("> ")
    talk.type("And again\n")
    assert "Hello from the first" in talk.wait_for("attempt.*\n")
    talk.wait_for("> ")
    talk.type("\x04")
    assert talk.end()[0] == 0


def test_ctrl_c_ends_an_answer_not_the_conversation(terminal: Any) -> None:
    talk = terminal("chat", "slow")
    talk.wait_for("> ")
    talk.type("Count\n")
    talk.wait_for("a")
    talk.type("\x03")
    # Interrupted before anything was said or after: the prompt is back.
    talk.wait_for("> ")
    talk.type("\x04")
    code, rest = talk.end()
    assert (code, "Traceback" in rest) == (0, False)


def test_ctrl_c_at_the_prompt_drops_what_was_typed(terminal: Any, eventually: Any) -> None:
    talk = terminal("chat", "echo")
    talk.wait_for("> ")
    talk.type("nonsense")
    talk.wait_for("nonsense")
    process = psutil.Process(talk.process.pid)
    # Python's readline misses a signal that comes before it sleeps.
    eventually(lambda: process.status() == psutil.STATUS_SLEEPING, what="the next key is waited for")
    talk.type("\x03")
    assert "Ctrl-D ends" in talk.wait_for("> ")
    talk.type("sense\n")
    assert "[scripted] sense" in talk.wait_for("attempt.*\n")
    talk.wait_for("> ")
    talk.type("\x04")
    assert talk.end()[0] == 0


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_bytes_that_are_not_text_are_replaced(terminal: Any, launch: Any, errors: str) -> None:
    given = {"PYTHONIOENCODING": f"utf-8:{errors}", "LC_ALL": "C.UTF-8"}
    talk = terminal("chat", "echo", **given)
    talk.wait_for("> ")
    talk.type("odd \udcff\udcfe bytes\n")
    assert "[scripted] odd \ufffd\ufffd bytes" in talk.wait_for("1 attempt.*\n")
    talk.wait_for("> ")
    talk.type("\x04")
    assert talk.end()[0] == 0
    ends = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    asking = launch("chat", "echo", b"odd \xff", "--system", b"\xfe", **ends, **given)
    answer, told = asking.communicate(timeout=PATIENCE)
    assert (asking.returncode, answer.decode()) == (0, "[scripted] odd \ufffd\n"), told


def test_ctrl_c_while_an_answer_streams(launch: Any) -> None:
    asking = launch("chat", "slow", "Count", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert asking.stdout is not None
    assert asking.stdout.read(1) == b"a"
    asking.send_signal(signal.SIGINT)
    _, stderr = asking.communicate(timeout=PATIENCE)
    assert (asking.returncode, stderr) == (130, b"")


def test_events_as_they_happen(launch: Any, meshctl: Any) -> None:
    words = ("events", "--follow", "--json", "--limit", "1", "--type", "model_rotated")
    listening = launch(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Whether the listener is there already cannot be seen from outside: rotate until it hears of it.
    deadline = time.monotonic() + PATIENCE
    while not select.select([listening.stdout], [], [], 0.5)[0]:
        assert time.monotonic() < deadline
        assert meshctl("rotate", "talk").returncode == 0
    assert '"type":"model_rotated"' in listening.stdout.readline()
    listening.send_signal(signal.SIGINT)
    _, stderr = listening.communicate(timeout=PATIENCE)
    assert (listening.returncode, stderr) == (130, "")


def test_a_reader_that_goes_away(launch: Any) -> None:
    for words in (["config", "schema"], ["connectors"], ["models", "--json"]):
        ours, theirs = os.pipe()
        os.close(ours)
        process = launch(*words, stdout=theirs, stderr=subprocess.PIPE)
        os.close(theirs)
        _, stderr = process.communicate(timeout=PATIENCE)
        assert (process.returncode, stderr) == (141, b""), words


def test_a_disk_that_is_full(launch: Any) -> None:
    for words in (["config", "schema"], ["connectors"], ["models", "--json"], ["secrets", "get", "NONE"]):
        with open("/dev/full", "wb") as full:
            process = launch(*words, stdout=full, stderr=subprocess.PIPE)
            _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, words
        assert len(stderr.splitlines()) == 1, stderr


def test_colour_only_where_it_can_be_seen(terminal: Any, meshctl: Any) -> None:
    code, shown = terminal("pools").end()
    assert code == 0
    assert "\x1b[32m" in shown
    code, shown = terminal("pools", NO_COLOR="1").end()
    assert code == 0
    assert "\x1b[3" not in shown
    assert "\x1b" not in meshctl("pools").stdout


def test_a_silent_stdin_keeps_no_prompt_waiting(launch: Any) -> None:
    """A prompt given as an argument is all there is: an open, silent pipe on stdin is not read."""
    ours, theirs = os.pipe()
    asking = launch("chat", "talk", "Say hello", stdin=ours, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    answer, _ = asking.communicate(timeout=PATIENCE)
    os.close(ours)
    os.close(theirs)
    assert (asking.returncode, answer) == (0, b"Hello from the first\n")


@pytest.mark.parametrize("words", [("status",), ("chat", "talk", "hi"), ("chat", "hi"), ("embed", "hi")])
def test_a_stopped_daemon_is_told_while_a_command_waits(mesh: Any, launch: Any, words: tuple[str, ...]) -> None:
    mesh.process.send_signal(signal.SIGSTOP)
    try:
        asking = launch(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert asking.stderr is not None
        assert select.select([asking.stderr], [], [], PATIENCE)[0], "it waits without a word"
        assert f"process {mesh.process.pid} is stopped, or stuck" in asking.stderr.readline().decode()
        asking.send_signal(signal.SIGINT)
        assert asking.communicate(timeout=PATIENCE) == (b"", b"")
        assert asking.returncode == 130
    finally:
        mesh.process.send_signal(signal.SIGCONT)


def test_a_daemon_that_stops_during_a_conversation_is_reported(mesh: Any, terminal: Any) -> None:
    talk = terminal("chat", "slow")
    talk.wait_for("> ")
    talk.type("Count\n")
    talk.wait_for("a")
    mesh.process.send_signal(signal.SIGSTOP)
    try:
        talk.wait_for("is stopped, or stuck")
        talk.type("\x03")
        talk.wait_for("> ")
    finally:
        mesh.process.send_signal(signal.SIGCONT)
    talk.type("\x04")
    assert talk.end()[0] == 0


def test_a_daemon_that_has_gone_is_told_and_the_next_one_answers(mesh: Any, terminal: Any) -> None:
    talk = terminal("chat", "echo")
    talk.wait_for("> ")
    talk.type("one\n")
    talk.wait_for("attempt.*\n")
    mesh.process.kill()
    mesh.process.wait(PATIENCE)
    talk.wait_for("> ")
    talk.type("two\n")
    assert "stuck" not in talk.wait_for("No daemon answers. Waiting for one")
    mesh.start()
    talk.wait_for(r"\[scripted\] two")
    talk.wait_for("> ")
    talk.type("\x04")
    assert talk.end()[0] == 0


def test_what_a_daemon_is_busy_with_is_reported(launch: Any) -> None:
    asking = launch("chat", "slow", "Count", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert asking.stdout.read(1) == b"a"  # 20 s until the next one
    draining = launch("drain", "--timeout", "15", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert select.select([draining.stderr], [], [], 10.0)[0]
    assert draining.stderr.readline() == b"meshctl: Waiting for the requests in flight. Ctrl-C ends this.\n"
