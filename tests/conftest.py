"""Real daemons, real upstreams and bare sockets for tests: the fixtures `short`, `meshd`, `upstream`, `dial`, `pose`.

Everything that is started here is stopped here, and every wait has an end.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from meshd.host.build import is_compiled
from tests.support.apps.line import Line
from tests.support.apps.other_users.posing import Posing
from tests.support.daemons.daemon import Daemon
from tests.support.providers.servers.upstream import Upstream
from tests.support.waiting import until

# No test is a benchmark: what a machine under load takes for one example says nothing. Continuous integration judges a
# change by the same examples each time; new ones, and more, are drawn wherever else the tests run.
settings.register_profile("meshd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("meshd"), derandomize=True, max_examples=60)
settings.register_profile("wide", settings.get_profile("meshd"), max_examples=1000)
settings.load_profile("ci" if "CI" in os.environ else "meshd")

# Where it was ignored (a shell's background), every program that is started here would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only the tests of `routing/` measure its coverage: measuring takes as long again as a test itself."""
    compiled = is_compiled()
    for item in items:
        if compiled and item.get_closest_marker("interpreted"):
            item.add_marker(pytest.mark.skip("it replaces or extends what is compiled here"))
        if "tests/unit/routing/" not in item.nodeid:
            item.add_marker("no_cover")


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    directory = tempfile.mkdtemp(prefix="mm")
    yield Path(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def module_short() -> Iterator[Path]:
    """The same for all tests of a module."""
    directory = tempfile.mkdtemp(prefix="mm")
    yield Path(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def meshd(short: Path) -> Iterator[Callable[..., Daemon]]:
    """`meshd(config)`: a daemon that answers; with `start=False` one that is not started."""
    made: list[Daemon] = []

    def make(config: Any, *arguments: str, start: bool = True, **options: Any) -> Daemon:
        directory = short / str(len(made))
        directory.mkdir()
        made.append(Daemon(directory, config, arguments, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture(scope="module")
def module_meshd(module_short: Path) -> Iterator[Callable[..., Daemon]]:
    """The same for all tests of a module, which must not leave a mark on it."""
    made: list[Daemon] = []

    def make(config: Any, *arguments: str, **options: Any) -> Daemon:
        directory = module_short / str(len(made))
        directory.mkdir()
        made.append(Daemon(directory, config, arguments, **options))
        return made[-1].start()

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def upstream(short: Path) -> Iterator[Callable[..., Upstream]]:
    """`upstream(script)`: a scripted server that listens."""
    made: list[Upstream] = []

    def make(script: Any = None) -> Upstream:
        made.append(Upstream(short, script))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


@pytest.fixture(scope="module")
def module_upstream(module_short: Path) -> Iterator[Callable[..., Upstream]]:
    """The same for all tests of a module."""
    made: list[Upstream] = []

    def make(script: Any = None) -> Upstream:
        made.append(Upstream(module_short, script))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def dial() -> Iterator[Callable[..., Line]]:
    """`dial(path)`: a bare socket that has been welcomed."""
    made: list[Line] = []

    def make(path: Any, **options: Any) -> Line:
        made.append(Line(path, **options))
        return made[-1]

    yield make
    for line in made:
        line.close()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(condition)`: its value, as soon as it is true."""
    return until


@pytest.fixture
def pose() -> Iterator[Callable[..., Posing]]:
    """`pose(uid, port)`: a server that another user runs."""
    with ExitStack() as opened:

        def make(*arguments: Any, **options: Any) -> Posing:
            made = Posing(*arguments, **options)
            opened.callback(made.close)
            return made

        yield make
