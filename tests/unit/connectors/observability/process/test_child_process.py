"""Messages to a process, whatever their size, and to one that hangs."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

import pytest

from meshd.connectors.observability.process.child_process import ChildProcess, TooLong

CHILD = "tests.support.telemetry.echoing_child"


@pytest.fixture(scope="module")
def child() -> Iterator[ChildProcess]:
    made = ChildProcess(CHILD)
    made.start()
    yield made
    made.end()


@pytest.mark.parametrize("size", [1, 4095, 4096, 65535, 65536, 1024 * 1024 - 4, 1024 * 1024, 5_000_000])
def test_a_message_arrives_whole(child: ChildProcess, size: int) -> None:
    message = random.Random(size).randbytes(size)
    assert child.exchange(message, 30.0)["found"] == [size, zlib.crc32(message)]


def test_a_process_that_hangs_is_given_up() -> None:
    child = ChildProcess(CHILD)
    child.start()
    try:
        with pytest.raises(TooLong):
            child.exchange(b"hang", 0.3)
        with pytest.raises(TooLong):
            child.exchange(b"x" * 5_000_000, 0.3)  # more than its pipe holds
    finally:
        child.end()
    child.start()
    assert child.exchange(b"again", 30.0)["found"][0] == 5
    child.end()
