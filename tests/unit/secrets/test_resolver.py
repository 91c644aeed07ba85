"""The resolver: order, cache, rotation, and silence about values."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.connectors.secrets.resolver import SecretResolver

VALUES: dict[str, str] = {}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    VALUES.clear()
    VALUES.update({"A": "a1", "B": "b1"})
    for name in ("A", "B", "C"):
        monkeypatch.delenv(name, raising=False)
    return VALUES


def section(**keys: Any) -> dict[str, Any]:
    return {"store": [{"connector": "modelmesh.env.v1", "prefix": "TEST_"}, "modelmesh.memory-secrets.v1"], **keys}


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda name, value: monkeypatch.setenv(f"TEST_{name}", value)


def test_stores_are_asked_in_order(env: Any) -> None:
    resolver = SecretResolver(now=Clock())
    env("A", "from the environment")
    found, missing = resolver.resolve(["A", "B", "C"], section(values=dict(VALUES)))
    assert found == {"A": "from the environment", "B": "b1"}
    assert "TEST_C" in missing["C"]
    assert "configuration gives no value for C" in missing["C"]


@pytest.mark.parametrize(("enabled", "later", "expected"), [(True, 299, "1"), (True, 301, "2"), (False, 0, "2")])
def test_a_value_is_remembered_for_its_time(env: Any, enabled: bool, later: float, expected: str) -> None:
    clock = Clock()
    resolver = SecretResolver(now=clock)
    env("A", "1")
    resolver.resolve(["A"], section(cache_enabled=enabled, cache_ttl="5m"))
    resolver.commit()
    env("A", "2")
    clock.now += later
    assert resolver.resolve(["A"])[0] == {"A": expected}


def test_a_refused_key_is_resolved_again_at_most_every_ten_seconds(env: Any) -> None:
    clock = Clock()
    resolver = SecretResolver(now=clock)
    env("A", "1")
    resolver.resolve(["A"], section())
    resolver.commit()
    assert resolver.refresh(["A"]) == []
    env("A", "2")
    clock.now += 9
    assert resolver.refresh(["A"]) == []
    clock.now += 2
    assert resolver.refresh(["A"]) == ["A"]
    clock.now += 20
    assert resolver.refresh(["A"]) == []
    assert resolver.resolve(["A"])[0] == {"A": "2"}


def test_the_same_section_keeps_its_cache_over_a_reload(env: Any) -> None:
    resolver = SecretResolver(now=Clock())
    env("A", "1")
    resolver.resolve(["A"], section())
    assert resolver.prepare(section()) == []
    resolver.commit()
    env("A", "2")
    assert resolver.resolve(["A"], section())[0] == {"A": "1"}
    assert resolver.resolve(["A"], section(cache_ttl=1))[0] == {"A": "2"}
    resolver.discard()
    assert resolver.resolve(["A"])[0] == {"A": "1"}


def test_a_store_that_cannot_be_made_is_an_objection() -> None:
    resolver = SecretResolver(now=Clock())
    objections = resolver.prepare({"store": "modelmesh.nothing.v1"})
    assert len(objections) == 1
    assert "modelmesh.nothing.v1" in objections[0]


def test_no_value_is_shown() -> None:
    resolver = SecretResolver(now=Clock())
    resolver.resolve(["A"], section(values={"A": "sk-very-secret"}))
    assert "sk-very-secret" not in repr(vars(resolver))
    assert resolver._other is not None
    assert "sk-very-secret" not in resolver._other.key
