"""What providers tell of a key's quota, by the documented answers of those whose quirk the catalogue has."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshd.catalogue.known import provider_row
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.formats.errors.not_answers import Broken
from meshd.formats.openai.quota import QuotaQuirk, read_quota
from meshd.sdk.provider import ModelListing, ProviderFailure, ProviderSettings, QuotaStatus

PLAIN = QuotaQuirk(path="quota", remaining="left")


def read(quirk: QuotaQuirk, document: Any) -> QuotaStatus:
    return read_quota(msgspec.json.encode(document), quirk)


def quirk_of(connector: str) -> QuotaQuirk:
    row = provider_row(connector)
    assert row is not None
    return row.quirks["quota"]


def test_openrouters() -> None:
    key = {"data": {"label": "sk-or-v1-au7...890", "limit": 100, "limit_remaining": 74.5, "usage": 25.5}}
    assert read(quirk_of("openrouter.gateway.v1"), key) == QuotaStatus(25.5, 74.5, 100.0, "USD")
    unlimited = {"data": {"limit": None, "limit_remaining": None, "usage": 25.5}}
    assert read(quirk_of("openrouter.gateway.v1"), unlimited) == QuotaStatus(used=25.5, unit="USD")


def deepseeks(available: bool, *balances: tuple[str, str]) -> QuotaStatus:
    infos = [{"currency": currency, "total_balance": total} for currency, total in balances]
    return read(quirk_of("deepseek.api.v1"), {"is_available": available, "balance_infos": infos})


def test_deepseeks() -> None:
    assert deepseeks(True, ("CNY", "110.00")) == QuotaStatus(remaining=110.0, unit="CNY")
    assert deepseeks(False, ("CNY", "0.00")).used_up
    assert deepseeks(False).used_up
    assert not deepseeks(True, ("CNY", "0.00"), ("USD", "5.00")).used_up, "there is another purse"


@pytest.mark.parametrize("left", [None, True, "much", "nan", [], {}])
def test_what_is_not_a_figure_is_none(left: Any) -> None:
    assert read(PLAIN, {"left": left}) == QuotaStatus()


@pytest.mark.parametrize("document", [{}, {"left": {}}, {"other": 1}])
def test_what_is_not_there_is_none_and_no_zero(document: Any) -> None:
    assert not read(PLAIN, document).used_up
    assert not read(QuotaQuirk(path="q", remaining="left.0.figure"), document).used_up


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[1]", b"null"])
def test_what_is_not_an_object_is_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        read_quota(body, PLAIN)


def test_lists_end() -> None:
    place = QuotaQuirk(path="q", remaining="infos.1.left")
    assert read(place, {"infos": [{"left": 0}]}) == QuotaStatus()
    assert read(place, {"infos": [{"left": 3}, {"left": 0}]}).used_up


# -- where they are asked --------------------------------------------------------------------------------


class Asked(OpenAIProvider):
    """Answers every GET by `body`, and notes its path."""

    def __init__(self, base_url: str, body: bytes, **quirks: Any) -> None:
        super().__init__(ProviderSettings("p", "x", base_url=base_url, quirks=quirks))
        self.body = body
        self.urls: list[str] = []

    async def _get(self, target: Any, timeout: float) -> bytes:
        self.urls.append(str(target))
        return self.body


async def test_the_quota_is_asked_for_where_the_quirk_says() -> None:
    body = b'{"data": {"limit_remaining": 2}}'
    asked = Asked("https://openrouter.ai/api/v1/", body, quota=quirk_of("openrouter.gateway.v1"))
    assert await asked.quota() == QuotaStatus(remaining=2.0, unit="USD")
    assert asked.urls == ["https://openrouter.ai/api/v1/key"]
    asked.body = b"<html>"
    with pytest.raises(ProviderFailure, match="reported its quota in an unknown form"):
        await asked.quota()
    assert await Asked("https://api.example/v1", b"").quota() is None


async def test_a_model_is_asked_about_under_the_list() -> None:
    asked = Asked("https://api.example/v1", b'{"id": "a/b", "context_length": 5}', query={"api-version": "1"})
    found = await asked.model_details("a/b c")
    assert found is not None
    assert (found.id, found.context_window) == ("a/b", 5)
    assert asked.urls == ["https://api.example/v1/models/a/b%20c?api-version=1"]
    asked.body = b'{"data": {"id": "m", "capabilities": {"vision": true}}}'
    assert await asked.model_details("m") == ModelListing("m", ("chat-completion",), features=("vision",))
    asked.body = b"[]"
    assert await asked.model_details("m") is None
    asked.body = b"<html>"
    with pytest.raises(ProviderFailure, match="described m in an unknown form"):
        await asked.model_details("m")
    assert await Asked("https://api.example/v1", b"", no_models_list=True).model_details("m") is None
