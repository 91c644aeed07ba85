"""What `meshctl status` says about a sink that cannot write: words, without Python's names."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from meshd.connectors.observability.file import FileSink
from meshd.connectors.observability.syslog.sink import SyslogSink
from meshd.sdk.observability import Entry, NotNow, Sink
from meshd.telemetry.otlp_out.sink import OtlpSink
from meshd.telemetry.queue import SinkQueue
from tests.support.network.ports import free_port
from tests.support.waiting import until


class Failing(Sink):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def write(self, entry: Entry) -> None:
        raise self._error


def said(make: Callable[[], Sink]) -> str:
    queue = SinkQueue("s", make)
    queue.put(Entry("log", 1, "info", "hello"))
    until(lambda: queue.error)
    found = str(queue.status()["error"])
    queue.close(0.0)
    return found


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotNow("http://h answered with status 429", 1.0), "http://h answered with status 429"),
        (OSError(errno.EPROTOTYPE, os.strerror(errno.EPROTOTYPE)), "Protocol wrong type for socket"),
        (PermissionError(errno.EACCES, "Permission denied", "/var/log/x"), "Permission denied: /var/log/x"),
        (OSError("ca_file c holds no certificates"), "ca_file c holds no certificates"),
        (TimeoutError(), "timed out"),
        (KeyError("port"), "KeyError: 'port'"),
        (ValueError("two\nlines\x1b"), r"ValueError: two lines\x1b"),
    ],
)
def test_an_error_is_said_in_words(error: Exception, words: str) -> None:
    assert said(lambda: Failing(error)) == words


def test_so_are_those_of_real_sinks(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    assert said(lambda: OtlpSink({"endpoint": endpoint})) == "Connection refused"
    assert said(lambda: FileSink({"path": str(tmp_path)})) == f"Is a directory: {tmp_path}"
    absent = str(tmp_path / "absent")
    assert said(lambda: SyslogSink({"address": absent})) == f"No such file or directory: {absent}"
