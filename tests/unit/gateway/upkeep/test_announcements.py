"""Other prices, and models that are to be retired, are said with the day: once, and again when it is near."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from meshd.core.events.records import Event
from meshd.core.prices import LongPrompt, Pricing
from meshd.gateway.reports.ends import remarks
from meshd.gateway.upkeep.announcements import ANNOUNCED, Announcements
from meshd.routing.table.specs import ModelSpec, Origin, PoolSpec, ProviderSpec
from meshd.sdk.provider import ModelListing
from tests.support.gateway.builder import CHAT, SCRIPTED, Gateway
from tests.support.gateway.probed import Probed, model

TODAY = date(2026, 11, 28)
DOLLAR = 10**9


class Said:
    """A router's announcements, with a calendar that the test turns. rows: what its state keeps."""

    def __init__(self, *models: ModelSpec, rows: Any = None) -> None:
        self.models = models
        self.pools = [PoolSpec("chat", CHAT, tuple(each.id for each in models))]
        self.gateway = Gateway(models=models, pools=self.pools)
        self.gateway.told.clear()  # its own announcements, by today's date
        self.day = TODAY
        self.rows: dict[str, Any] = rows or {}
        self.told = Announcements(self.gateway.runtime, self._tell, lambda: self.day)
        self.told.restore(self.rows)

    def _tell(self, actor: str, message: Any) -> None:
        assert (actor, message.table) == ("state", ANNOUNCED)
        self.rows[message.key] = message.value

    def use(self, **changed: Any) -> None:
        """Another table: its first model is changed."""
        self.models = (replace(self.models[0], **changed), *self.models[1:])
        self.gateway.use(self.models, self.pools, [ProviderSpec("p", SCRIPTED)])
        self.gateway.told.clear()
        self.told.committed()

    def said(self, type: str) -> list[tuple[str, str, str, dict[str, Any]]]:
        """And forget it."""
        found = [event for event in self.gateway.told_of(Event) if event.type == type]
        self.gateway.told.clear()
        return [(event.severity, event.ids["model"], event.reason, event.changed) for event in found]


def priced(dollars_in: float, dollars_out: float, **more: Any) -> Pricing:
    return Pricing(int(dollars_in * DOLLAR), int(dollars_out * DOLLAR), **more)


def test_a_price_that_changes_is_said_with_the_old_one_and_the_day() -> None:
    made = Said(model("a"))
    made.use(pricing=priced(1, 2), priced_on="2026-07-02")
    assert made.said("price_changed") == [], "the first is none that changed"
    made.use(pricing=priced(1, 2), priced_on="2026-11-28")
    assert made.said("price_changed") == []
    made.use(pricing=priced(1.5, 2), priced_on="2026-11-28")
    assert made.said("price_changed") == [
        (
            "warning",
            "p.a",
            "input_per_1m 1 → 1.5 USD, as of 2026-11-28",
            {"prices": {"input_per_1m": [1.0, 1.5]}, "day": "2026-11-28"},
        )
    ]
    long = (LongPrompt(1000, DOLLAR, DOLLAR),)
    made.use(pricing=priced(0.5, 2, long_prompts=long, of_units={"searches": DOLLAR // 100}), priced_on="")
    [(severity, _, reason, changed)] = made.said("price_changed")
    assert severity == "warning", "one of them is dearer"
    assert reason.endswith(" USD, as configured")
    assert changed["day"] == "2026-11-28"
    assert set(changed["prices"]) == {
        "input_per_1m", "per_search", "long_prompts.1000.input_per_1m", "long_prompts.1000.output_per_1m",
    }  # fmt: skip
    made.use(pricing=priced(0.25, 1, long_prompts=long, of_units={"searches": DOLLAR // 100}), priced_on="")
    assert made.said("price_changed")[0][0] == "info", "cheaper"


def test_a_price_that_changed_while_the_daemon_was_away() -> None:
    before = Said(model("a"))
    before.use(pricing=priced(1, 2))
    after = Said(model("a"), rows=before.rows)
    after.use(pricing=priced(1, 2))
    assert after.said("price_changed") == []
    again = Said(model("a"), rows=after.rows)
    again.use(pricing=priced(2, 2))
    assert len(again.said("price_changed")) == 1


@pytest.mark.parametrize("row", [{"prices": "1"}, {"prices": {"input_per_1m": "1"}}, {"prices": None}])
def test_prices_of_an_earlier_life_that_are_none(row: Any) -> None:
    made = Said(model("a"), rows={"p.a": row})
    made.use(pricing=priced(1, 2))
    assert made.said("price_changed") == []


def test_a_price_that_is_not_known_for_a_while_is_no_change() -> None:
    made = Said(model("a"))
    made.use(pricing=priced(1, 2))
    made.use(priced=False, pricing=Pricing())
    made.use(priced=True, pricing=priced(1, 2))
    assert made.said("price_changed") == []


@pytest.mark.parametrize(
    ("left", "severity", "words"),
    [
        (200, "info", "its provider stops serving on 2027-06-16 (in 200 days)"),
        (30, "warning", "its provider stops serving on 2026-12-28 (in 30 days)"),
        (1, "warning", "its provider stops serving on 2026-11-29 (tomorrow)"),
        (0, "warning", "its provider stops serving on 2026-11-28 (today)"),
        (-3, "warning", "its provider was scheduled to stop serving on 2026-11-25"),
    ],
)
def test_the_day_on_which_a_model_ends(left: int, severity: str, words: str) -> None:
    made = Said(model("a"), model("b"))
    day = (TODAY + timedelta(left)).isoformat()
    made.use(retires=day)
    made.told.committed()
    assert made.said("model_deprecated") == [(severity, "p.a", words, {"day": day})]
    after = Said(model("a"), model("b"), rows=made.rows)
    after.use(retires=day)
    assert after.said("model_deprecated") == [], "it has been said"


def test_of_models_that_the_configuration_does_not_name_the_one_asked_is_said() -> None:
    made = Said(*(model(name, retires="2026-12-11", origin=Origin.CATALOGUE) for name in "ab"))
    made.told.committed()
    assert made.said("model_deprecated") == []
    runtime = made.gateway.runtime
    assert runtime.retires == {"p.a": "2026-12-11", "p.b": "2026-12-11"}
    runtime.state.pool("chat").current = "p.b"
    made.told.committed()
    assert [model for _, model, _, _ in made.said("model_deprecated")] == ["p.b"]


def test_it_is_said_again_when_it_is_near() -> None:
    made = Said(model("a"))
    made.use(retires="2027-11-28")
    assert made.said("model_deprecated")[0][0] == "info"
    said = []
    while made.day < date(2027, 12, 5):
        made.day += timedelta(1)
        made.told.look()
        said += [(date(2027, 11, 28) - made.day).days for _ in made.said("model_deprecated")]
    assert said == [90, 30, 7, 1, 0]


async def test_a_providers_own_list_says_the_day() -> None:
    made = Probed(model("a"), model("b"))
    made.provider.listed = [ModelListing("a", retires="2026-12-31"), ModelListing("b", retires="soon")]
    await made.listed()
    assert made.runtime.retires == {"p.a": "2026-12-31"}
    made.provider.listed = [ModelListing("a"), ModelListing("b")]
    await made.listed()
    assert made.runtime.retires == {}


def test_the_status_names_those_that_end_soon_together() -> None:
    table = Probed(*map(model, "abcdefgh")).runtime.table
    retires = {f"p.{name}": "2026-12-11" for name in "abcdefgh"} | {"p.gone": "2026-12-01"}
    assert remarks(retires, table, lambda: TODAY) == [
        "p stops serving on 2026-12-11 (in 13 days): p.a, p.b, p.c, p.d, p.e, p.f and 2 more"
    ]
    assert remarks({"p.a": "2027-12-11"}, table, lambda: TODAY) == []
    assert remarks(retires | {"p.h": "2026-11-01"}, table, lambda: TODAY) == [
        "p stops serving 8 models between 2026-11-01 and 2026-12-11; `meshctl models` has the days"
    ]
