"""sd_notify without systemd: a datagram socket of the test's own plays its part."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.app.notify import Notifier, watchdog_interval


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(5)
        yield line


def heard(line: socket.socket) -> dict[str, str]:
    return dict(field.split("=", 1) for field in line.recv(4096).decode().split("\n"))


def test_each_state_has_its_fields(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    assert notifier.active
    assert notifier.ready("serving 3 pools")
    assert heard(manager) == {"READY": "1", "STATUS": "serving 3 pools"}
    assert notifier.stopping()
    assert heard(manager) == {"STOPPING": "1"}
    assert notifier.watchdog()
    assert heard(manager) == {"WATCHDOG": "1"}
    assert notifier.extend_timeout(1.5)
    assert heard(manager) == {"EXTEND_TIMEOUT_USEC": "1500000"}


def test_reloading_carries_the_monotonic_clock(manager: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert Notifier(manager.getsockname()).reloading()
    fields = heard(manager)
    assert fields["RELOADING"] == "1"
    assert before <= int(fields["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_stays_one_line(manager: socket.socket) -> None:
    Notifier(manager.getsockname()).status("bad file\nREADY=1")
    assert heard(manager) == {"STATUS": "bad file READY=1"}


def test_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0meshd-test-{os.getpid()}")
        line.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@meshd-test-{os.getpid()}")
        assert Notifier().ready()
        assert heard(line) == {"READY": "1"}


@pytest.mark.parametrize("address", ["", "relative", "@", "vsock:2:1234"])
def test_silent_outside_systemd(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    assert not notifier.active
    assert not notifier.ready("x")


def test_no_process_listens_any_more(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "gone")).watchdog()


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        ("30000000", None, 30.0),
        ("30000000", "self", 30.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_watchdog_interval(
    monkeypatch: pytest.MonkeyPatch, microseconds: str | None, pid: str | None, expected: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", str(os.getpid()) if pid == "self" else pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_interval() == expected
