"""Model lists: what is offered on when a provider's list changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.discovery.model_lists import Difference, RegistrySync, Source, sources_of
from meshd.discovery.settings import SyncSettings
from meshd.messages import ModelsListed
from meshd.routing.table.specs import ProviderSpec


def running(config: MeshConfig, *left_out: str) -> Any:
    """A generation, as far as a sync looks at it."""
    specs = {name: ProviderSpec(name, "c", disabled="no key" if name in left_out else "") for name in config.providers}
    return SimpleNamespace(config=config, providers=dict(config.providers), table=SimpleNamespace(providers=specs))


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
    generation = running(MeshConfig.from_dict(raw, environ={}))
    assert [source.interval for source in sources_of(generation, {})] == [expected]


def test_a_provider_without_its_key_is_not_asked_what_it_offers() -> None:
    """It would refuse, or list models that it does not serve us."""
    entry = {"connector": "openai-compatible.v1", "base_url": "http://h/v1"}
    generation = running(MeshConfig.from_dict({"providers": {"p": entry, "q": entry}}, environ={}), "q")
    assert [source.name for source in sources_of(generation, {})] == ["p"]


def test_details_are_asked_for_where_they_are_wanted_and_may_take_longer() -> None:
    sync = RegistrySync()
    sync.configure(SyncSettings(), [Source("p", True, 3600, details=True), Source("q", True, 3600)], 0)
    assert {ask.provider: ask.details for ask in sync.due(0)} == {"p": True, "q": False}
    assert [ask.provider for ask in sync.due(21)] == ["q"], "the router was restarted, and p may still answer"
    assert [ask.provider for ask in sync.due(36)] == ["p"]


@pytest.mark.parametrize(("asked", "expected"), [(True, (["x"], ["vision"])), (False, (["text-embeddings"], []))])
def test_what_a_provider_says_of_a_models_abilities_is_taken_unless_it_is_not_to_be(asked: bool, expected: Any) -> None:
    sync = RegistrySync()
    sync.configure(SyncSettings(), [Source("p", True, 3600, capabilities=asked)], 0)
    model = {"id": "nomic-embed-text", "capabilities": ["x"], "features": ["vision"]}
    found = sync.models_listed(ModelsListed("p", (model,)), 0)
    assert found is not None
    assert found.change is not None
    (offered,) = found.change.models or ()
    assert (offered["capabilities"], offered["features"]) == expected


def test_a_providers_own_keys_say_what_a_sync_asks_for() -> None:
    config = MeshConfig.from_dict(
        {
            "providers": {
                "plain": {"connector": "modelmesh.scripted.v1"},
                "own": {
                    "connector": "modelmesh.scripted.v1",
                    "discovery": {"model_details": True, "capability_query": False},
                    "catalogue": {"refresh_interval": "5m"},
                },
            }
        }
    )
    plain, own = sources_of(running(config), {})
    assert (plain.details, plain.capabilities, plain.interval) == (False, True, 3600.0)
    assert (own.details, own.capabilities, own.interval) == (True, False, 300.0)
