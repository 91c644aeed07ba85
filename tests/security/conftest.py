from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps.attacker import Attacker
from tests.support.apps.stranger import Stranger
from tests.support.daemons.attacked import Attacked


@pytest.fixture(scope="package")
def door() -> Iterator[Attacked]:
    """A daemon that every user may connect to, and another user's app. No test leaves a mark on it."""
    if os.getuid():
        pytest.skip("only root can be other users")
    directory = Path(tempfile.mkdtemp(prefix="mm"))
    directory.chmod(0o755)
    made = Attacked(directory)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def stranger(door: Attacked) -> Iterator[Callable[[int], Stranger]]:
    """`stranger(uid)`: a process of that user."""
    made: list[Any] = []

    def make(uid: int) -> Stranger:
        made.append(Stranger(door.daemon.socket, uid))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def attack(door: Attacked) -> Iterator[Callable[..., Attacker]]:
    """`attack("flood", uid)`: a process of that user, which has begun."""
    made: list[Attacker] = []

    def make(flood: str, uid: int) -> Attacker:
        made.append(Attacker(door.daemon.socket, uid, flood))
        made[-1].begun()
        return made[-1]

    yield make
    for each in made:
        each.close()
