"""A fake daemon on a short path, and the promise that nothing of the client is left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator

import pytest

import modelmesh
from modelmesh._connection.registry import open_connections
from tests.support.client.fake_daemon import BOUND, FakeDaemon


@pytest.fixture
def socket_path() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="mm-")
    yield os.path.join(directory, "mesh.sock")
    shutil.rmtree(directory)


@pytest.fixture
def start(socket_path: str) -> Iterator[Callable[..., FakeDaemon]]:
    """Starts a daemon on the test's path; may be called again once the one before was stopped."""
    daemons: list[FakeDaemon] = []

    def begin(*args: object, **options: object) -> FakeDaemon:
        daemons.append(FakeDaemon(socket_path, *args, **options))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def daemon(start: Callable[..., FakeDaemon]) -> FakeDaemon:
    return start()


@pytest.fixture
def client(socket_path: str) -> Iterator[modelmesh.OpenAIClient]:
    with modelmesh.OpenAIClient(socket_path, timeout=BOUND) as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = {thread for thread in threading.enumerate() if thread not in before and thread.is_alive()}
    assert {thread.name for thread in left} <= {"modelmesh-background"}
    assert not open_connections()
