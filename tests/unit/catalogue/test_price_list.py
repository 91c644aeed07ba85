"""A public list of prices, in the catalogue's keys."""

from __future__ import annotations

from datetime import date, time

import pytest
from genai_prices.types import ConditionalPrice, PriceVariant, StartDateConstraint, TimeOfDateConstraint

from meshd.catalogue.known import ModelRow
from meshd.catalogue.price_list import PriceList
from tests.support.config.price_lists import NOW, listing, model, price
from tests.support.providers.servers.local_server import Handler, LocalServer


def test_units_and_tiers_are_translated() -> None:
    variants = [
        PriceVariant(when={"service_tier": "flex"}, prices=price(input_mtok=1, output_mtok=(4, 9, 8)), constraint=None),
        PriceVariant(when={"processing": "batch"}, prices=price(input_mtok=2, output_mtok=5), constraint=None),
        PriceVariant(when={"speed": "fast"}, prices=price(input_mtok=9), constraint=None),
    ]
    prices = price(
        input_mtok=(2, 9, 4),
        output_mtok=(8, 9, 12),
        cache_read_mtok=0.2,
        cache_write_mtok=2.5,
        cache_write_1h_mtok=4,
        web_searches_kcount=10,
        requests_kcount=5,
    )
    found = listing([model("m", prices, *variants)]).find("acme", "m")
    assert found is not None
    assert found.prices == {
        "input_per_1m": "2",
        "output_per_1m": "8",
        "cached_input_per_1m": "0.2",
        "cache_write_per_1m": "2.5",
        "cache_write_1h_per_1m": "4",
        "per_request": "0.005",
        "per_search": "0.01",
    }
    long = {"above": 9, "input_per_1m": "4", "output_per_1m": "12", "cached_input_per_1m": "0.2"}
    assert found.long_prompts == (long,)
    assert found.tiers == {
        "flex": {"input_per_1m": "1", "output_per_1m": "4"},
        "batch": {"output_per_1m": "5"},
    }
    assert found.source.startswith("https://acme.example/prices, by genai-prices ")
    assert found.date == "2026-11-28"
    row = ModelRow(
        provider="p",
        id="m",
        capabilities=("chat-completion",),
        prices=found.prices,
        long_prompts=found.long_prompts,
        tiers=found.tiers,
        source=found.source,
        date=found.date,
    )
    assert row.pricing_of_tiers["batch"][0] == {"output_per_1m": 5 * 10**9}


def test_what_is_not_text() -> None:
    prices = listing(
        [
            model("voice", price(input_mchars=15)),
            model("ear", price(audio_hours=0.04)),
            model("vectors", price(input_mtok=0.02)),
            model("eye", price(input_document_kpages=4)),
            model("other", price(input_audio_mtok=10)),
        ]
    )
    told = {id: found.prices for id in prices.models("acme") if (found := prices.find("acme", id)) is not None}
    assert told == {
        "voice": {"per_1k_chars": "0.015"},
        "ear": {"per_minute": "0.000666667"},
        "vectors": {"input_per_1m": "0.02", "output_per_1m": "0"},
        "eye": {"per_page": "0.004"},
    }


def test_prices_that_depend_on_the_day_and_the_hour() -> None:
    def after(day: date, figure: float) -> ConditionalPrice:
        prices = price(input_mtok=figure, output_mtok=figure)
        return ConditionalPrice(constraint=StartDateConstraint(start_date=day), prices=prices)

    night = TimeOfDateConstraint(start_time=time(1), end_time=time(4))
    old = ConditionalPrice(constraint=None, prices=price(input_mtok=9, output_mtok=9))
    dear = ConditionalPrice(constraint=night, prices=price(input_mtok=4, output_mtok=4))
    now, later = after(date(2026, 8, 1), 2), after(date(2027, 1, 1), 1)
    for prices, figure in (([old, now, later], "2"), ([old, now, dear], "4"), ([old, dear, now], "2"), ([old], "9")):
        found = listing([model("m", prices)]).find("acme", "m")
        assert found is not None
        assert found.prices["input_per_1m"] == figure
    later_tier = PriceVariant(
        when={"service_tier": "flex"}, prices=price(input_mtok=1), constraint=StartDateConstraint(date(2027, 1, 1))
    )
    found = listing([model("m", price(input_mtok=2, output_mtok=2), later_tier)]).find("acme", "m")
    assert found is not None
    assert found.tiers == {}


def test_what_the_list_does_not_have() -> None:
    prices = listing([model("old", price(input_mtok=1, output_mtok=1), deprecated=True)])
    assert prices.models("acme") == []
    assert prices.models("nobody") == []
    assert prices.find("acme", "new") is None
    assert prices.find("nobody", "old") is None


def test_the_newest_list_is_fetched_from_its_address() -> None:
    prices = {"input_mtok": 1, "output_mtok": 2}
    models = [{"id": "m", "match": {"equals": "m"}, "prices": prices}]

    class Serving(Handler):
        def do_GET(self) -> None:
            self.send(200, [{"id": "acme", "name": "Acme", "api_pattern": "x", "models": models}])

    server = LocalServer(Serving)
    try:
        found = PriceList.fetched(f"http://127.0.0.1:{server.port}/prices.json", NOW).find("acme", "m")
    finally:
        server.close()
    assert found is not None
    assert found.prices == {"input_per_1m": "1", "output_per_1m": "2"}
    assert found.source == "genai-prices as of 2026-11-28"


def test_a_list_that_cannot_be_fetched() -> None:
    with pytest.raises(OSError, match="the price list cannot be fetched"):
        PriceList.fetched("http://127.0.0.1:1/prices.json")


def test_the_installed_list_knows_the_catalogues_models() -> None:
    found = PriceList.installed().find("openai", "gpt-5-mini")
    assert found is not None
    assert found.prices["input_per_1m"]
    assert set(found.tiers) >= {"flex", "batch"}
