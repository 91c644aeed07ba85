"""The gateway's `Mesh` of one pool, "chat", without a router around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from meshd.gateway.app_identity import AppMatcher
from meshd.gateway.requests import request
from meshd.gateway.requests.waiting_room import WaitingRoom
from meshd.routing.availability.state import MeshState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import Provider

CHAT = "generation.text-generation.chat-completion"


def lone_mesh(
    models: Iterable[ModelSpec],
    providers: Iterable[ProviderSpec],
    provider: Callable[[str], Provider],
    ledger: Any,
    room: WaitingRoom,
    *,
    pool: dict[str, Any],
    **told: Any,
) -> request.Mesh:
    """All the models are in the pool. told: in the place of those of `Mesh`'s callbacks that do nothing here."""
    members = tuple(models)
    table = RoutingTable(
        CapabilityTree.default(),
        members,
        providers,
        [PoolSpec("chat", CHAT, tuple(model.id for model in members), **pool)],
    )
    state = MeshState()
    return request.Mesh(
        table,
        state,
        Pipeline(state),
        lambda name: nullcontext(provider(name)),
        ledger,
        room=room,
        apps=AppMatcher(table),
        **{name: told.get(name, _nothing) for name in ("settled", "changed", "failed", "event", "finished")},
        renewed=_no_other_key,
    )


def _nothing(*_: Any, **__: Any) -> None: ...


async def _no_other_key(*_: Any) -> None: ...
