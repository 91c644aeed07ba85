"""What operators' commands change, without a provider."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from meshd.routing.availability import recovery
from meshd.routing.table.specs import PoolSpec
from modelmesh import ConflictError, NotFoundError
from tests.support.gateway.mesh_builders import CHAT, Core, model


@pytest.fixture
def core():
    made = Core(pools=(PoolSpec("chat", CHAT, ("a.one", "b.two")),), models=(model("a.one"), model("b.two")))
    made.events, made.saved, made.changes, made.told = [], [], [], []
    made.event = lambda type, *rest, **given: made.events.append(type)
    made.keeper = SimpleNamespace(
        save_model=lambda id, durable: made.saved.append((id, durable)), changed=made.changes.extend
    )
    made.mesh.changed = made.keeper.changed
    made.tell = lambda actor, message: made.told.append(message)
    return made


async def test_activation_ends_every_rest(core, monkeypatch):
    state, now, keys = core.mesh.state, time.time(), []
    monkeypatch.setattr(state.rates, "reset_keys", keys.append)
    state.model("a.one").deactivated = "broken"
    for availability in (state.model("a.one"), state.provider("a"), state.member("chat", "a.one")):
        recovery.stand_by_indefinitely(availability.availability, "x", "y", now)
    state.member("chat", "a.one").failures = 3
    assert await core.post("/mesh/v1/models/activate", id="a.one") == {"id": "a.one", "status": "active", "reason": ""}
    assert {change.scope for change in core.changes} == {"model", "provider", "member"}
    assert (state.model("a.one").deactivated, state.member("chat", "a.one").failures, keys) == (None, 0, ["a"])
    assert (core.saved, core.events) == ([("a.one", True)], [])  # the changes tell of it


async def test_activation_is_told_even_where_nothing_rested(core):
    await core.post("/mesh/v1/models/activate", id="a.one")
    assert (core.changes, core.events) == ([], ["model_activated"])


async def test_deactivation(core):
    answer = await core.post("/mesh/v1/models/deactivate", id="a.one", reason="too slow")
    assert (answer["status"], core.mesh.state.model("a.one").deactivated) == ("standby", "too slow")
    with pytest.raises(NotFoundError, match="is a pool"):
        await core.post("/mesh/v1/models/deactivate", id="chat")


async def test_rotation(core):
    assert await core.post("/mesh/v1/rotate", pool="chat") == {"pool": "chat", "from": "a.one", "to": "b.two"}
    assert core.mesh.state.pool("chat").current == "b.two"
    core.mesh.state.model("a.one").deactivated = "broken"
    with pytest.raises(ConflictError, match="no other"):
        await core.post("/mesh/v1/rotate", pool="chat")


async def test_a_pool_that_chooses_anew_each_time_is_not_rotated():
    pool = PoolSpec("chat", CHAT, ("a.one", "b.two"), strategy="modelmesh.round-robin.v1")
    with pytest.raises(ConflictError, match="selects a model for each request"):
        await Core(pools=(pool,)).post("/mesh/v1/rotate", pool="chat")
