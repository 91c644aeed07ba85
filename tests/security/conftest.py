from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps.other_users.attacker import Attacker
from tests.support.apps.other_users.stranger import Stranger
from tests.support.daemons.stress.attacked import Attacked


@pytest.fixture(scope="package")
def door() -> Iterator[Attacked]:
    """A daemon that every user may connect to, and another user's app. No test leaves a mark on it."""
    with _attacked() as made:
        yield made


@pytest.fixture
def few_files() -> Iterator[Attacked]:
    """The same, which may have 128 files open."""
    few = (128, 128)
    with _attacked(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few)) as made:
        yield made


@contextmanager
def _attacked(**options: Any) -> Iterator[Attacked]:
    if os.getuid():
        pytest.skip("only root can be other users")
    directory = Path(tempfile.mkdtemp(prefix="mm"))
    directory.chmod(0o755)
    made = Attacked(directory, **options)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Iterator[Callable[..., Stranger]]:
    """`stranger(uid)`: a process of that user; of another daemon than `door` by `at`."""
    made: list[Any] = []

    def make(uid: int, at: Attacked | None = None) -> Stranger:
        attacked = at or request.getfixturevalue("door")
        made.append(Stranger(attacked.daemon.socket, uid))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def attack(request: pytest.FixtureRequest) -> Iterator[Callable[..., Attacker]]:
    """`attack("flood", uid)`: a process of that user, which has begun; of another daemon than `door` by `at`."""
    made: list[Attacker] = []

    def make(flood: str, uid: int, at: Attacked | None = None, **how: bool) -> Attacker:
        attacked = at or request.getfixturevalue("door")
        made.append(attacked.attack(flood, uid, **how))
        made[-1].begun()
        return made[-1]

    yield make
    for each in made:
        each.close()
