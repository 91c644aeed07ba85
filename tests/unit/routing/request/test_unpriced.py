"""What a budget cannot pay for: a service tier, unless its prices are known."""

from __future__ import annotations

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.operations.chat import CHAT
from meshd.routing.request.unpriced import unpriced
from meshd.routing.table.specs import PoolSpec
from tests.support.routing.routing_builders import model

PRICES = {"input_per_1m": 1, "output_per_1m": 2}
POOL = PoolSpec("chat", "", ("p.m",))


def test_a_tier_with_prices_can_be_paid_for() -> None:
    needs = RequestNeeds(CHAT, costly=("service_tier", "plugins"), tier="priority")
    usual, tiered = (model("p.m", pricing=Pricing.of(PRICES, tiers=tiers)) for tiers in ({}, {"priority": ({}, ())}))
    assert unpriced(needs, usual, POOL)[0] == ("service_tier", "plugins")
    assert unpriced(needs, tiered, POOL)[0] == ("plugins",)
