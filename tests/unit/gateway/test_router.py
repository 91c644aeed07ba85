"""The router as a plain object: what a provider's list of models means for those that are configured."""

from __future__ import annotations

from types import SimpleNamespace

from meshd.connectors.registry import default_registry
from meshd.gateway.router import RouterCore
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import ModelSpec, ProviderSpec, RoutingTable

CHAT = "generation.text-generation.chat-completion"


def core(on_deprecated_model: str) -> tuple[RouterCore, list[str]]:
    events: list[str] = []

    def tell(name, message):
        if name == "telemetry":
            events.append(message.type)

    made = RouterCore(default_registry(), tell, ask=None, spawn=None)
    models = [ModelSpec(f"p.{name}", "p", name, (CHAT,)) for name in ("a", "b")]
    made.mesh.table = RoutingTable(CapabilityTree.default(), models, [ProviderSpec("p", "scripted")], [])
    sync = SimpleNamespace(on_deprecated_model=on_deprecated_model)
    made.generation = SimpleNamespace(config=SimpleNamespace(discovery=SimpleNamespace(sync=sync)))
    return made, events


async def test_a_model_that_its_provider_lists_no_longer_is_set_aside_until_it_does():
    made, events = core("deactivate")
    made.listing.compare("p", {"a"})  # b was never listed: its list may simply be incomplete
    assert not made.mesh.state.model("p.b").availability.standby
    made.listing.compare("p", {"b"})
    assert made.mesh.state.model("p.a").availability.reason == "its provider no longer lists it"
    assert not made.mesh.state.model("p.b").availability.standby
    made.listing.compare("p", {"a", "b"})
    assert not made.mesh.state.model("p.a").availability.standby
    assert events == ["model_deactivated", "model_activated"]


async def test_only_if_it_is_to_be():
    made, events = core("notify")
    made.listing.compare("p", {"a", "b"})
    made.listing.compare("p", {"b"})
    assert not made.mesh.state.model("p.a").availability.standby
    assert events == []
