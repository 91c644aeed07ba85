"""A model's process from the daemon's side, with a child that is small: starts, ends, last words, nothing left."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from meshd.connectors.providers.embedded.process import LONGEST_PATH, ChildServer
from meshd.sdk import FailureKind, ProviderFailure

SERVES = "import sys; open(sys.argv[1], 'w').close(); print('ready', flush=True); sys.stdin.read()"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
while True:
    signal.pause()
"""
FAILS = "import sys; print('loading', file=sys.stderr); sys.exit('no such model')"
HANGS = "import sys; print('still loading', file=sys.stderr, flush=True); sys.stdin.read()"


def there(path: str) -> bool:
    return os.path.exists(path)


async def until_stopped(child: ChildServer) -> None:
    async with asyncio.timeout(5):
        while child.describe()["state"] != "stopped" or there(child.socket):  # noqa: ASYNC110 - a process ends
            await asyncio.sleep(0.005)


Make = Callable[..., ChildServer]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[ChildServer] = []

    def build(program: str = SERVES, **options: object) -> ChildServer:
        options = {"runtime_dir": str(tmp_path / "run")} | options
        child = ChildServer("m", lambda socket: ["-c", program, socket], **options)
        made.append(child)
        return child

    yield build
    for child in made:
        await child.aclose()
        assert not there(child.socket)
        assert child.describe()["state"] == "stopped"


async def test_concurrent_first_uses_share_one_start(make: Make):
    child = make()

    async def use() -> int:
        async with child.use() as socket:
            assert there(socket)
            found: int = child.describe()["pid"]
            return found

    assert len(set(await asyncio.gather(*(use() for _ in range(5))))) == 1
    assert child.starts == 1
    assert child.describe()["resident_memory"] > 0


async def test_it_is_not_stopped_while_used_and_stopped_when_idle(make: Make):
    child = make(idle_timeout=0.02)
    async with child.use():
        async with child.use():
            pass
        await asyncio.sleep(0.1)
        assert child.running
        pid = child.describe()["pid"]
    await until_stopped(child)
    assert not psutil.pid_exists(pid)
    assert not there(child.socket)


async def test_one_that_dies_is_started_again_at_the_next_use(make: Make):
    child = make()
    async with child.use():
        os.kill(child.describe()["pid"], signal.SIGKILL)
        await until_stopped(child)
    async with child.use():
        assert child.starts == 2


async def test_one_that_does_not_start_says_why(make: Make):
    child = make(FAILS)
    with pytest.raises(ProviderFailure, match=r"m did not start: loading \| no such model") as caught:
        async with child.use():
            pass
    assert caught.value.kind is FailureKind.CONNECTION


async def test_one_that_is_never_ready_is_given_up(make: Make):
    child = make(HANGS, start_timeout=0.5)
    with pytest.raises(ProviderFailure, match=r"not ready within 0\.5 s: still loading"):
        async with child.use():
            pass


async def test_a_caller_that_gives_up_leaves_the_start_to_the_others(make: Make):
    child = make()

    async def use() -> None:
        async with child.use():
            pass

    impatient, patient = asyncio.create_task(use()), asyncio.create_task(use())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    await patient
    assert child.starts == 1


async def test_one_that_ignores_terminate_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("meshd.connectors.providers.embedded.process.KILL_AFTER", 0.1)
    child = make(DEAF)
    async with child.use():
        pid = child.describe()["pid"]
    await child.aclose()
    assert not psutil.pid_exists(pid)


async def test_closing_while_it_starts_leaves_nothing(make: Make):
    child = make(HANGS)
    before = set(psutil.Process().children())

    async def use() -> None:
        async with child.use():
            pass

    starting = asyncio.create_task(use())
    async with asyncio.timeout(5):
        while not child.starts:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await child.aclose()
    with pytest.raises(ProviderFailure, match="being closed"):
        await starting
    assert set(psutil.Process().children()) == before
    with pytest.raises(ProviderFailure, match="being closed"):
        await use()


async def test_closing_before_the_process_exists_leaves_nothing(make: Make):
    child = make(HANGS)
    before = set(psutil.Process().children())

    async def use() -> None:
        async with child.use():
            pass

    starting = asyncio.create_task(use())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await child.aclose()
    await asyncio.gather(starting, return_exceptions=True)
    assert set(psutil.Process().children()) == before


async def test_a_runtime_directory_whose_path_is_too_long_for_a_socket(make: Make, tmp_path: Path):
    child = make(runtime_dir=str(tmp_path / ("d" * 120)))
    assert len(child.socket) <= LONGEST_PATH
    async with child.use() as socket:
        assert os.stat(os.path.dirname(socket)).st_mode & 0o777 == 0o700
    await child.aclose()
    assert not there(os.path.dirname(child.socket))
