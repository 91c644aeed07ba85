"""JSON lines on standard output: whole, one for each entry, and nothing that steers a terminal."""

from __future__ import annotations

import json

import pytest

from meshd.connectors.observability.json_log import JsonLogSink
from meshd.sdk.observability import Entry


@pytest.mark.parametrize("to", ["stdout", "stderr"])
def test_lines(capfd: pytest.CaptureFixture[str], to: str) -> None:
    sink = JsonLogSink({"to": to})
    sink.write(Entry("event", 1_760_000_000_000_000_000, "warning", "it \x1b[2Jbroke", {"why": "\x9b1m\u202e", "n": 1}))
    sink.write(Entry("log", 0, "info", "x" * 300_000))
    said = capfd.readouterr()
    first, second = (said.out if to == "stdout" else said.err).splitlines()
    found = json.loads(first)
    assert found["time"] == "2025-10-09T08:53:20.000000+00:00"
    assert (found["stream"], found["severity"], found["n"]) == ("event", "warning", 1)
    assert not any(character in first for character in "\x1b\x9b\u202e")
    assert len(json.loads(second)["message"]) == 300_000
