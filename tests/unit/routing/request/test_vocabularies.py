"""Which vocabularies a request is counted with."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.core.prices import Pricing
from meshd.routing.request.vocabularies import vocabularies_wanted as wanted
from meshd.routing.table.specs import Allowance, AppSpec, PoolSpec, ProviderSpec, RateSpec, RoutingTable
from tests.support.routing.routing_builders import model, table

PRICED = Pricing(output_per_1m=1)
POOL = PoolSpec("chat", "", ("p.a", "q.b", "gone"))


def mesh(*allowances: Allowance, **spec: Any) -> RoutingTable:
    members = [model("p.a", vocabulary="o200k_base", **spec), model("q.b", vocabulary="", pricing=PRICED)]
    made = table(members, [POOL])
    return RoutingTable(made.tree, members, made.providers.values(), [POOL], (), allowances)


def test_what_costs_nothing_and_has_no_limit_is_not_counted() -> None:
    assert wanted(mesh(), POOL) == frozenset()


@pytest.mark.parametrize("pricing", [PRICED, Pricing(input_per_1m=1)])
def test_what_costs_is_counted_where_it_has_a_vocabulary(pricing: Pricing) -> None:
    assert wanted(mesh(pricing=pricing), POOL) == {"o200k_base"}
    assert wanted(mesh(pricing=Pricing(per_request=1)), POOL) == frozenset()


@pytest.mark.parametrize(
    ("scope", "name", "counts"),
    [
        ("app", "eve", True),
        ("app", "adam", False),
        ("pool", "chat", True),
        ("pool", "other", False),
        ("model", "p.a", True),
        ("provider", "p", True),
        ("provider", "q", False),
        ("member", "chat\x00p.a", True),
        ("member", "other\x00p.a", False),
    ],
)
def test_a_limit_on_tokens_has_them_counted(scope: str, name: str, counts: bool) -> None:
    eve = AppSpec("eve")
    assert bool(wanted(mesh(Allowance(scope, name, "tokens", "day", 9)), POOL, eve)) is counts
    assert not wanted(mesh(Allowance(scope, name, "requests", "day", 9)), POOL, eve)


def test_a_rate_of_tokens_has_them_counted() -> None:
    assert wanted(mesh(), POOL, AppSpec("eve", rate=RateSpec(tpm=9))) == {"o200k_base"}
    limited = mesh()
    limited.providers["p"] = ProviderSpec("p", "c", rate=RateSpec(tpm=9))
    assert wanted(limited, POOL) == {"o200k_base"}
