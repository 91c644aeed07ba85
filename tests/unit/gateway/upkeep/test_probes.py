"""Probes of a pool's models and of providers, and what their answers change."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from meshd import messages
from meshd.gateway.upkeep.probes import AT_ONCE
from meshd.gateway.upkeep.token_probe import NotSent, ask_one_token
from meshd.routing.availability import recovery
from meshd.routing.table.policies import DeactivationPolicy
from meshd.routing.table.specs import ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure, QuotaStatus
from tests.support.gateway.builder import SCRIPTED
from tests.support.gateway.probed import COST, SERVER, Probed, budget, model, until_asked
from tests.support.routing.causes import because

IMAGES = "generation.image-generation.text-to-image"
LIST = messages.Probe("p", "models", 5.0, 1)
TOKEN = messages.Probe("p", "completion", 5.0, 1)


async def test_a_start_finds_models_that_do_not_answer() -> None:
    made = Probed(model("a"), model("b"))
    made.provider.answer = ProviderFailure(FailureKind.TIMEOUT, "no answer")
    await made.probe_models(models=("p.b",))
    (change,) = made.changes
    assert change.ids == {"pool": "chat", "model": "p.b", "provider": "p"}
    assert change.reason == "it does not answer probes: no answer"
    assert made.blamed == [FailureKind.TIMEOUT]
    assert len(made.provider.calls) == 1


async def test_those_that_rest_and_answer_are_back() -> None:
    made = Probed(model("a"), model("b"))
    recovery.stand_by(made.member(), because("it fails"), made.pool.recovery, 0.0)
    await made.probe_models(resting=True)
    assert [(change.type, change.ids) for change in made.changes] == [
        ("model_activated", {"pool": "chat", "model": "p.a", "provider": "p"})
    ]
    assert [call.model for call in made.provider.calls] == ["a"]


async def test_a_probe_holds_the_place_of_a_test_and_gives_it_back() -> None:
    made = Probed()
    recovery.stand_by(made.member(), because("it fails"), made.pool.recovery, 0.0)
    made.provider.then, made.provider.answer = asyncio.Event(), SERVER
    task = asyncio.ensure_future(made.probe_models(resting=True))
    await until_asked(made)
    assert made.member().tester is not None
    await made.probe_models(resting=True)
    assert len(made.provider.calls) == 1, "one test at a time"
    made.provider.then.set()
    await task
    assert made.member().tester is None
    assert made.member().relapses == 2


async def test_no_token_no_verdict() -> None:
    made = Probed(allowances=(budget(1),))
    await made.probe_models()
    assert (made.changes, made.blamed, made.member().tester) == ([], [], None)


async def test_a_few_at_a_time() -> None:
    made = Probed(*(model(f"m{number}") for number in range(20)))
    await made.probe_models()
    assert len(made.provider.calls) == 20
    assert made.provider.most == AT_ONCE


async def test_none_in_a_maintenance_window_nor_of_a_pool_that_is_gone() -> None:
    made = Probed(deactivation=DeactivationPolicy(maintenance_window="* * * * * 2h"))
    await made.probe_models()
    await made.router.probes.models(messages.ProbeModels("gone", 5.0))
    assert made.provider.calls == []


async def test_a_provider_that_a_reload_removed_is_not_judged() -> None:
    made = Probed()
    made.provider.then = asyncio.Event()
    task = asyncio.ensure_future(made.probe_models())
    await until_asked(made)
    made.use((), (), ())
    made.provider.then.set()
    await task
    assert made.changes == []
    with pytest.raises(NotSent, match="a reload has removed it"):
        await ask_one_token(made.runtime, made.pool, model("a"), 5.0)


# -- providers ------------------------------


async def test_a_provider_is_asked_for_its_list() -> None:
    made = Probed()
    probed = await made.probe(LIST)
    assert (probed.provider, probed.token, probed.error, made.provider.lists) == ("p", 1, "", 1)
    assert made.provider.calls == []


@pytest.mark.parametrize(
    ("listed", "kind"),
    [(SERVER, "server"), (TimeoutError(), "timeout"), (ZeroDivisionError(), "bad_answer")],
)
async def test_how_its_probe_failed(listed: Any, kind: str) -> None:
    made = Probed()
    made.provider.listed = listed
    probed = await made.probe(LIST)
    assert probed.error
    assert probed.kind == kind


async def test_or_for_a_token_which_is_settled_like_any_other() -> None:
    made = Probed(model("i", IMAGES), model("off"), model("a"), allowances=(budget(10**9),))
    made.runtime.state.model("p.off").deactivated = "by hand"
    assert (await made.probe(TOKEN)).error == ""
    assert [call.model for call in made.provider.calls] == ["a"]
    assert made.spent() == (COST, 0)
    made.provider.answer = ProviderFailure(FailureKind.UNSUPPORTED, "no max_tokens", status=400)
    assert (await made.probe(TOKEN)).error == "", "it took the request apart: it is there"
    made.provider.answer = SERVER
    assert (await made.probe(TOKEN)).kind == "server"


async def test_where_none_may_be_spent_the_list_has_to_do() -> None:
    made = Probed(allowances=(budget(1),))
    assert (await made.probe(TOKEN)).error == ""
    assert (made.provider.lists, made.provider.calls) == (1, [])
    made.provider.listed = ProviderFailure(FailureKind.UNSUPPORTED, "it lists none")
    await made.router.probes.provider(TOKEN)
    assert len(made.told_of(messages.Probed)) == 1, "which says nothing of the provider"


async def test_a_model_in_no_pool_is_probed_as_a_pool_of_its_own() -> None:
    made = Probed()
    made.use([model("a")], [], [ProviderSpec("p", SCRIPTED)])
    await made.probe(TOKEN)
    assert made.journal.begun[0][2] == "p.a"


# -- quotas ------------------------------


async def test_what_a_provider_says_of_its_quota_is_acted_on() -> None:
    made = Probed()
    made.provider.left = QuotaStatus(remaining=0.0)
    await made.probe(msgspec.structs.replace(LIST, quota=True))
    assert [change.type for change in made.changes] == ["provider_deactivated"]
    assert made.runtime.state.provider("p").quota == made.provider.left


@pytest.mark.parametrize("left", [None, SERVER, TimeoutError(), ZeroDivisionError()])
async def test_what_it_does_not_say_changes_nothing(left: Any) -> None:
    made = Probed()
    made.provider.left = left
    await made.probe(msgspec.structs.replace(LIST, quota=True))
    assert (made.changes, made.runtime.state.provider("p").quota) == ([], None)
