"""What operators' commands change, without a provider."""

from __future__ import annotations

import time

import pytest

from meshd import messages
from meshd.routing.availability import recovery
from meshd.routing.table.specs import PoolSpec
from modelmesh import ConflictError, NotFoundError
from tests.support.gateway.builder import CHAT, Gateway, model
from tests.support.routing.causes import because


@pytest.fixture
def core():
    return Gateway(pools=(PoolSpec("chat", CHAT, ("a.one", "b.two")),), models=(model("a.one"), model("b.two")))


async def test_activation_ends_every_rest(core):
    state, now = core.runtime.state, time.time()
    state.model("a.one").deactivated = "broken"
    for availability in (state.model("a.one"), state.provider("a"), state.member("chat", "a.one")):
        recovery.stand_by_indefinitely(availability.availability, because("x"), now)
    state.member("chat", "a.one").failures = 3
    assert await core.post("/mesh/v1/models/activate", id="a.one") == {"id": "a.one", "status": "active", "reason": ""}
    assert (state.model("a.one").deactivated, state.member("chat", "a.one").failures) == (None, 0)
    assert sorted(core.events) == ["model_activated", "model_activated", "provider_recovered"]
    saved = [(each.table, each.key, each.durable) for each in core.told_of(messages.StateChanged)]
    assert saved[-1] == ("model", "a.one", True)


async def test_activation_is_told_even_where_nothing_rested(core):
    await core.post("/mesh/v1/models/activate", id="a.one")
    assert core.events == ["model_activated"]


async def test_deactivation(core):
    answer = await core.post("/mesh/v1/models/deactivate", id="a.one", reason="too slow")
    assert (answer["status"], core.runtime.state.model("a.one").deactivated) == ("standby", "too slow")
    with pytest.raises(NotFoundError, match="is a pool"):
        await core.post("/mesh/v1/models/deactivate", id="chat")


async def test_rotation(core):
    assert await core.post("/mesh/v1/rotate", pool="chat") == {"pool": "chat", "from": "a.one", "to": "b.two"}
    assert core.runtime.state.pool("chat").current == "b.two"
    core.runtime.state.model("a.one").deactivated = "broken"
    with pytest.raises(ConflictError, match="no other"):
        await core.post("/mesh/v1/rotate", pool="chat")


async def test_a_pool_that_chooses_again_each_time_is_not_rotated():
    pool = PoolSpec("chat", CHAT, ("a.one", "b.two"), strategy="modelmesh.round-robin.v1")
    with pytest.raises(ConflictError, match="selects a model for each request"):
        await Gateway(pools=(pool,)).post("/mesh/v1/rotate", pool="chat")
