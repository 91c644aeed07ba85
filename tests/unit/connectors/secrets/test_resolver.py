"""The resolver: order, cache, rotation, and silence about values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshd.compilation.secret_sources import secret_sources
from meshd.config import MeshConfig
from meshd.connectors.secrets.resolver import Looked, SecretResolver
from meshd.connectors.secrets.stores import SecretStores, make_store
from meshd.core.secret_sources import SecretSources
from meshd.sdk.secrets import SecretStore

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


class Counting(SecretStore):
    def __init__(self, reads: list[str], settings: Any) -> None:
        super().__init__(settings)
        self.reads = reads

    def get(self, name: str) -> str:
        self.reads.append(name)
        return VALUES[name]


def sources(**section: Any) -> SecretSources:
    return secret_sources(MeshConfig.from_dict({"secrets": section}))


def section(**keys: Any) -> SecretSources:
    return sources(store=[{"connector": "modelmesh.env.v1", "prefix": "TEST_"}, "modelmesh.memory-secrets.v1"], **keys)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda name, value: monkeypatch.setenv(f"TEST_{name}", value)


def test_stores_are_asked_in_order(env: Any) -> None:
    resolver = SecretResolver(now=Clock())
    env("A", "from the environment")
    found, missing, _ = resolver.resolve(["A", "B", "C"], section(values=dict(VALUES)))
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


def test_a_refused_key_that_stays_the_same_is_read_less_and_less_often(env: Any) -> None:
    clock = Clock()
    reads: list[str] = []
    resolver = SecretResolver(now=clock, make=lambda id, settings: Counting(reads, settings))
    resolver.resolve(["A"], section())
    resolver.commit()
    reads.clear()
    for _ in range(1200):  # a minute
        assert resolver.refresh(["A"]) == Looked()
        clock.now += 0.05
    assert 5 <= len(reads) <= 12
    VALUES["A"] = "a2"
    clock.now += 10
    assert resolver.refresh(["A"]).changed == ("A",)
    assert resolver.refresh(["A"]).changed == ("A",), "until it runs"
    assert resolver.resolve(["A"])[0] == {"A": "a2"}
    assert resolver.commit() == ["A"]
    assert resolver.refresh(["A"]) == Looked()


def of_a_file(folder: Path, clock: Clock) -> tuple[SecretResolver, Path]:
    """A resolver that runs with A=old, and the file that says so."""
    path = folder / "keys.env"
    path.write_text("A=old\n")
    path.chmod(0o600)
    resolver = SecretResolver(now=clock)
    resolver.resolve(["A"], sources(store=[{"connector": "modelmesh.dotenv.v1", "path": str(path)}]))
    resolver.commit()
    return resolver, path


def settled(resolver: SecretResolver, path: Path, clock: Clock, value: str = "new") -> None:
    """It has another value, for long enough."""
    path.write_text(f"A={value}\n")
    assert resolver.look().unsettled
    clock.now += 1
    assert resolver.look().changed == ("A",)


def test_a_look_before_the_reload_does_not_take_back_what_was_found(tmp_path: Path) -> None:
    clock = Clock()
    resolver, path = of_a_file(tmp_path, clock)
    settled(resolver, path, clock)
    assert resolver.look().changed == ("A",), "until it runs"
    assert resolver.resolve(["A"])[0] == {"A": "new"}
    assert resolver.look().changed == ("A",)
    assert resolver.commit() == ["A"]
    assert resolver.resolve(["A"])[0] == {"A": "new"}
    assert resolver.look() == Looked()


@pytest.mark.parametrize("then", ["", None, "A=newer\n"], ids=["emptied", "gone", "another"])
def test_what_was_found_stands_while_the_file_is_replaced_once_more(tmp_path: Path, then: str | None) -> None:
    clock = Clock()
    resolver, path = of_a_file(tmp_path, clock)
    settled(resolver, path, clock)
    path.unlink()
    if then is not None:
        path.write_text(then)
        path.chmod(0o600)
    assert resolver.look().unsettled
    assert resolver.resolve(["A"])[0] == {"A": "new"}
    assert resolver.commit() == ["A"]


def test_one_that_runs_without_what_was_found_does_not_end_the_search(tmp_path: Path) -> None:
    clock = Clock()
    resolver, path = of_a_file(tmp_path, clock)
    resolver.resolve(["A"])
    settled(resolver, path, clock)
    assert resolver.commit() == []
    assert resolver.look().changed == ("A",)
    assert resolver.resolve(["A"])[0] == {"A": "new"}


def test_a_value_that_is_put_back_is_found_too(tmp_path: Path) -> None:
    clock = Clock()
    resolver, path = of_a_file(tmp_path, clock)
    settled(resolver, path, clock)
    settled(resolver, path, clock, "old")
    assert resolver.resolve(["A"])[0] == {"A": "old"}
    assert resolver.commit() == []
    assert resolver.look() == Looked()


def test_a_refused_key_is_looked_for_at_once_where_its_file_is_another(tmp_path: Path) -> None:
    clock = Clock()
    resolver, path = of_a_file(tmp_path, clock)
    for _ in range(1200):  # a minute: the next look is some seconds away
        assert resolver.refresh(["A"]) == Looked()
        clock.now += 0.05
    path.write_text("A=another\n")
    assert resolver.refresh(["A"]).unsettled
    clock.now += 1
    assert resolver.refresh(["A"]).changed == ("A",)


def test_what_was_only_tried_is_not_what_runs(env: Any) -> None:
    resolver = SecretResolver(now=Clock())
    env("A", "1")
    resolver.resolve(["A"], section())
    resolver.commit()
    env("A", "2")
    assert resolver.resolve(["A"], section(), fresh=True)[0] == {"A": "2"}
    resolver.discard()
    assert resolver.refresh(["A"]).changed == ("A",)


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
    objections = resolver.prepare(sources(store="modelmesh.nothing.v1"))
    assert len(objections) == 1
    assert "modelmesh.nothing.v1" in str(objections[0])


def test_no_value_is_shown() -> None:
    resolver = SecretResolver(now=Clock())
    resolver.resolve(["A"], section(values={"A": "sk-very-secret"}))
    assert "sk-very-secret" not in repr(vars(resolver))
    assert "sk-very-secret" not in SecretStores(section(values={"A": "sk-very-secret"}), make_store).key


def test_what_changes_in_a_store_outside_is_found_beside_a_file(tmp_path: Path) -> None:
    keys, told = tmp_path / "keys.env", tmp_path / "told"
    keys.write_text("B=b\n")
    keys.chmod(0o600)
    told.write_text("one")
    command = {"connector": "command", "command": ["sh", "-c", f"cat {told}"]}
    clock = Clock()
    resolver = SecretResolver(now=clock)
    wanted = sources(store=[command, {"connector": "modelmesh.dotenv.v1", "path": str(keys)}], cache_ttl=2)
    assert resolver.resolve(["A"], wanted)[0] == {"A": "one"}
    resolver.commit()
    assert resolver.poll() == Looked()
    told.write_text("two")
    clock.now += 3
    assert resolver.poll().unsettled  # as it may come from the file as well, it is read again
    clock.now += 3
    assert resolver.poll().changed == ("A",)
