"""The strategies that come with the daemon: one row each, and the router has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshd.compilation.built_in_strategies import built_in_strategies
from meshd.connectors.built_in import connectors as builtin
from meshd.connectors.registry import default_registry
from meshd.routing.decision.strategies.base import Context
from meshd.routing.request.question import Question
from meshd.routing.table.specs import DEFAULT_STRATEGY, STICKY, PoolSpec
from meshd.sdk.connector import ROTATION, ConnectorSpec
from tests.support.gateway.builder import Gateway
from tests.support.routing.routing_builders import CHAT, mesh

LAST_FIRST = "modelmesh.last-first.v1"


class LastFirst:
    def __init__(self, context: Context) -> None: ...

    def order(self, question: Question) -> Iterator[str]:
        yield from reversed(question.pool.members)

    def chosen(self, question: Question, model: str) -> str | None: ...


def test_they_are_those_of_the_registry() -> None:
    known = [spec.id for spec in default_registry().list_connectors(ROTATION, outside=False)]
    assert sorted(built_in_strategies()) == known
    assert {DEFAULT_STRATEGY, STICKY} <= set(known)
    pipeline = mesh("p.a").pipeline
    assert all(pipeline.strategy(id) is not None for id in known)


async def test_a_file_and_a_row_add_one(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ConnectorSpec(LAST_FIRST, ROTATION, "The last first", f"{__name__}:LastFirst")
    monkeypatch.setattr(builtin, "CONNECTORS", (*builtin.CONNECTORS, row))
    gateway = Gateway(pools=[PoolSpec("chat", CHAT, ("a.one", "b.two"), strategy=LAST_FIRST)])
    assert isinstance(gateway.runtime.pipeline.strategy(LAST_FIRST), LastFirst)
    assert gateway.router.strategies.objections(gateway.runtime.table) == ()
