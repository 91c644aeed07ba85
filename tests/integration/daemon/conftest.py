"""Configurations of one scripted provider, as text whose lines can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemons.daemon import Daemon


@pytest.fixture(autouse=True, scope="package")
def whole_starts() -> Iterator[None]:
    """The interpreter of these daemons starts as a user's does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Daemon, "forked", False)
        yield


def scripted(*script: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"connector": "modelmesh.scripted.v1", "script": list(script) or [{"echo": True}], **options}


@pytest.fixture
def one() -> Any:
    """`one(reply="a", …)`: a configuration with one model that answers so; keywords are a step's."""

    def make(*, daemon: Any = None, **step: Any) -> dict[str, Any]:
        return {
            "providers": {"one": scripted(step or {"echo": True})},
            "models": {"one.chat": {"provider": "one", "capabilities": ["chat-completion"]}},
            **({"daemon": daemon} if daemon else {}),
        }

    return make


@pytest.fixture
def two() -> Any:
    """Two models of two providers in one pool, in this order."""

    def make(first: Any = None, second: Any = None, **pool: Any) -> dict[str, Any]:
        return {
            "providers": {
                "first": scripted(*(first or [{"reply": "first"}])),
                "second": scripted(*(second or [{"reply": "second"}])),
            },
            "models": {
                "first.chat": {"provider": "first", "capabilities": ["chat-completion"]},
                "second.chat": {"provider": "second", "capabilities": ["chat-completion"]},
            },
            "pools": {"chat": {"capability": "chat-completion", **pool}},
        }

    return make


@pytest.fixture
def own_state(short: Any, monkeypatch: Any) -> None:
    """For a mesh in this process: it neither finds nor leaves anything in the user's directories."""
    monkeypatch.setenv("XDG_STATE_HOME", str(short / "state-home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(short / "data-home"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
