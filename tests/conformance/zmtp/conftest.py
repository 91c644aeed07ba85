"""One daemon for each module, and clients that others wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance.install import missing
from tests.conformance.zmtp.relayed import LIBRARIES, Relayed
from tests.support.apps.line import Line


def provider(step: dict[str, Any]) -> dict[str, Any]:
    return {"connector": "modelmesh.scripted.v1", "script": [step]}


MIB = 1024**2
PROVIDERS = {
    "echo": provider({"echo": True}),
    "counting": provider({"tokens": [f"{number} " for number in range(200)]}),
    "large-chunks": provider({"tokens": ["x" * (MIB // 4)] * 24}),
    "slow": provider({"reply": "at last", "delay": "20ms"}),
}
OFF = {"enabled": False}
CONFIG: dict[str, Any] = {
    "providers": PROVIDERS,
    "models": {name: {"provider": name, "capabilities": ["chat-completion"]} for name in PROVIDERS},
    "discovery": {"health": OFF, "sync": OFF, "local": OFF},
}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Any:
    return module_meshd(CONFIG)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    """Its name."""
    if reason := missing(request.param):
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture
def other(library: str, daemon: Any) -> Iterator[Callable[..., Line]]:
    """`other("DEALER")`: a socket of that library."""
    made: list[Line] = []

    def make(kind: str = "DEALER", *, hwm: int = 0, path: Any = None) -> Line:
        path = path or daemon.socket
        made.append(Line(path, socket=Relayed(library, path, kind, hwm)))
        return made[-1]

    yield make
    for each in made:
        each.close()
