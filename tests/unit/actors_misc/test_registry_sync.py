"""Model lists: what is offered on when a provider's list changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.connectors.discovery.registry_sync import Difference, RegistrySync, Source, SyncSettings, sources_of
from meshd.messages import ModelsListed


def synced(registers: bool = True, **settings: Any) -> RegistrySync:
    sync = RegistrySync()
    sync.configure(SyncSettings(**settings), [Source("p", registers, 3600)], 0)
    return sync


def listing(sync: RegistrySync, *ids: str, now: float = 0, deprecated: str = "", error: str = "") -> Difference:
    models = tuple({"id": id, "deprecated": id == deprecated} for id in ids)
    found = sync.models_listed(ModelsListed("p", models, error), now)
    assert found is not None
    return found


def offered(difference: Difference) -> list[str] | None:
    return [model["id"] for model in difference.change.models or ()] if difference.change else None


def test_the_first_list_is_offered_and_later_ones_only_when_they_differ() -> None:
    sync = synced()
    assert [ask.provider for ask in sync.due(0)] == ["p"]
    assert sync.due(1) == []
    first = listing(sync, "a", "b")
    assert offered(first) == ["a", "b"]
    assert not first.notify
    assert sync.next_due(0) == 3600
    assert offered(listing(sync, "a", "b", now=3600)) is None


@pytest.mark.parametrize(
    ("on_new", "on_gone", "expected", "notify"),
    [
        ("register", "deactivate", ["b", "c"], True),
        ("notify", "deactivate", ["b"], True),
        ("register", "notify", ["a", "b", "c"], True),
        ("ignore", "ignore", None, False),
    ],
)
def test_new_and_gone_models(on_new: str, on_gone: str, expected: list[str] | None, notify: bool) -> None:
    sync = synced(on_new_model=on_new, on_deprecated_model=on_gone)
    listing(sync, "a", "b")
    later = listing(sync, "b", "c")
    assert (later.new, later.gone) == (("c",), ("a",))
    assert offered(later) == expected
    assert later.notify == notify


def test_a_deprecated_model_is_gone() -> None:
    sync = synced()
    listing(sync, "a", "b")
    assert listing(sync, "a", "b", deprecated="a").gone == ("a",)


def test_a_provider_with_models_of_its_own_is_compared_and_not_registered() -> None:
    sync = synced(registers=False)
    assert listing(sync, "a").change is None
    later = listing(sync, "b")
    assert later.change is None
    assert later.notify


def test_a_failed_listing_is_tried_again_with_patience_and_changes_nothing() -> None:
    sync = synced()
    listing(sync, "a")
    waits = []
    now = 0.0
    for _ in range(9):
        assert listing(sync, error="down", now=now).change is None
        wait = sync.next_due(now)
        assert wait is not None
        waits.append(wait)
        now += wait
    assert waits[:3] == [30, 60, 120]
    assert waits[-1] == 3600
    assert offered(listing(sync, "a", now=now)) is None


def test_a_lost_answer_does_not_end_the_schedule() -> None:
    sync = synced()
    assert sync.due(0)
    assert sync.due(10) == []
    assert sync.due(21)


def test_providers_and_switches() -> None:
    sync = RegistrySync()
    sources = [Source("a", True, 60), Source("b", True, 60)]
    sync.configure(SyncSettings(providers=("b",)), sources, 0)
    assert [ask.provider for ask in sync.due(0)] == ["b"]
    assert {ask.provider for ask in sync.due(0, everything=True)} == {"a"}
    sync.configure(SyncSettings(enabled=False), sources, 0)
    assert sync.next_due(0) is None
    assert sync.models_listed(ModelsListed("nobody", ()), 0) is None


@pytest.mark.parametrize(("catalogue", "expected"), [({}, 600), ({"refresh_interval": "2h"}, 7200)])
def test_a_providers_own_interval_wins(catalogue: dict[str, Any], expected: float) -> None:
    provider = {"connector": "openai-compatible.v1", "base_url": "http://h/v1", "catalogue": catalogue}
    raw = {"providers": {"p": provider}, "discovery": {"sync": {"interval": "10m", "auto_register": True}}}
    generation = SimpleNamespace(config=MeshConfig.from_dict(raw, environ={}), providers={"p": None})
    assert [source.interval for source in sources_of(generation, {})] == [expected]
