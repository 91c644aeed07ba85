"""Models, pools, apps and allowances of every kind, for properties of accounts."""

from __future__ import annotations

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.operations import chat
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.specs import Allowance, PoolSpec, RoutingTable
from tests.support.routing.routing_builders import CHAT, model

NOW = 1_796_036_400.0  # 2026-11-30 11:00 UTC: a month ends with the day
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati")
MODELS = [
    model("groq.a", pricing=Pricing(input_per_1m=7_000_000, output_per_1m=11_000_000)),
    model("groq.b", pricing=Pricing(per_request=90)),
    model("local.c"),
]
POOLS = [PoolSpec(name, CHAT, tuple(each.id for each in MODELS)) for name in ("chat", "other")]
APPS = ("notes", "mail", "")
ALLOWANCES = [
    Allowance("provider", "groq", "cost", "day", 2500),
    Allowance("provider", "groq", "requests", "rolling", 12, "quota"),
    Allowance("model", "groq.b", "cost", "month", 1500),
    Allowance("pool", "chat", "tokens", "day", 1500, "quota"),
    Allowance("app", "notes", "requests", "month", 15, "budget", enforce=False),
    Allowance("app", "mail", "cost", "day", 900),
    Allowance("member", "chat\0groq.a", "tokens", "stint", 600, "rule"),
]
TABLE = RoutingTable(RoutingTable.empty().tree, MODELS, (), POOLS, allowances=ALLOWANCES)


def question(pool: PoolSpec, app: str, tokens: int, now: float) -> Question:
    return Question(TABLE, pool, RequestNeeds(chat.CHAT, most=tokens, max_output=tokens), now, Requester(account=app))
