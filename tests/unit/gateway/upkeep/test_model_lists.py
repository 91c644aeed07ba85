"""What a provider's list of models says, and what it means for those that are configured."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.sdk.provider import ModelListing
from tests.support.gateway.probed import SERVER, Probed, model


async def test_details_add_what_a_list_does_not_say() -> None:
    made = Probed()
    made.provider.listed = [ModelListing(name, ("chat-completion",), 1000) for name in "abc"]
    made.provider.details = {
        "a": ModelListing("other", ("text-embeddings",), None, 64, ("vision",), True),
        "b": SERVER,
    }
    a, b, c = (await made.listed()).models
    assert (a["id"], a["capabilities"], a["context_window"], a["max_output_tokens"]) == (
        "a",
        ["text-embeddings"],
        1000,
        64,
    )
    assert (a["features"], a["deprecated"]) == (["vision"], True)
    assert b["context_window"] == c["context_window"] == 1000
    made.provider.details = {"a": ZeroDivisionError()}
    assert (await made.listed(details=False)).models[0]["max_output_tokens"] is None
    assert "ZeroDivisionError" in (await made.listed()).error


async def test_a_provider_that_describes_no_models_in_time_has_listed_them() -> None:
    made = Probed()
    made.provider.listed = [ModelListing(str(number)) for number in range(20)]
    made.provider.details = {str(number): "silence" for number in range(20)}
    assert len((await made.listed(timeout=0.05)).models) == 20


@pytest.mark.parametrize("failed", [SERVER, TimeoutError(), ZeroDivisionError()])
async def test_a_list_that_does_not_come_is_reported(failed: Any) -> None:
    made = Probed()
    made.provider.listed = failed
    found = await made.listed()
    assert (found.models, bool(found.error)) == ((), True)


DEACTIVATES = {"discovery": {"sync": {"on_deprecated_model": "deactivate"}}}


async def test_a_model_that_its_provider_lists_no_longer_is_set_aside_until_it_does() -> None:
    made = Probed(model("a"), model("b"), config=DEACTIVATES)
    lists, known = made.router.model_lists, made.runtime.state.model
    lists.compare("p", {"a"})  # b was never listed: its list may simply be incomplete
    lists.compare("other", set())
    assert made.changes == []
    lists.compare("p", {"b"})
    assert known("p.a").availability.reason == "its provider no longer lists it"
    assert not known("p.b").availability.standby
    lists.compare("p", {"a", "b"})
    assert not known("p.a").availability.standby
    assert [(change.ids["model"], change.type) for change in made.changes] == [
        ("p.a", "model_deactivated"),
        ("p.a", "model_activated"),
    ]


async def test_an_unlisted_model_stays_with_notify() -> None:
    made = Probed(model("a"), model("b"), config={"discovery": {"sync": {"on_deprecated_model": "notify"}}})
    made.router.model_lists.compare("p", {"a", "b"})
    made.router.model_lists.compare("p", {"b"})
    assert not made.runtime.state.model("p.a").availability.standby
    assert made.events == []
