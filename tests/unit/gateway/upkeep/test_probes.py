"""Probes through budget, limits and journal, and what becomes of their answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from meshd import messages
from meshd.gateway.upkeep.model_lists import Listing
from meshd.gateway.upkeep.probes import AT_ONCE, Probing
from meshd.gateway.upkeep.token_probe import NotSent, ask_one_token
from meshd.routing.availability import recovery
from meshd.routing.availability.state import MeshState
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.policies import DeactivationPolicy
from meshd.routing.table.specs import Allowance, KeySpec, ModelSpec, PoolSpec, Pricing, ProviderSpec, RoutingTable
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Operation,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    QuotaStatus,
    Usage,
)

CHAT = "generation.text-generation.chat-completion"
COMPLETION = "generation.text-generation.text-completion"
EMBEDDINGS = "representation.embeddings.text-embeddings"
IMAGES = "generation.image-generation.text-to-image"
USAGE = Usage(7, 1)
PRICES = Pricing(input_per_1m=1_000_000, output_per_1m=2_000_000)
COST = 9
OK = ProviderAnswer(b'{"choices": []}', USAGE)
SERVER = ProviderFailure(FailureKind.SERVER, "overloaded", status=500)
REFUSED = ProviderFailure(FailureKind.AUTHENTICATION, "bad key", status=401)
LIST = messages.Probe("p", "models", 5.0, 1)
TOKEN = messages.Probe("p", "completion", 5.0, 1)


class FakeProvider:
    """`answer`: returned or raised. `then`: what it waits for."""

    name = "p"
    settings = None

    def __init__(self) -> None:
        self.answer: Any = OK
        self.listed: Any = 0.0
        self.left: Any = None
        self.details: dict[str, Any] = {}
        self.calls: list[ProviderCall] = []
        self.lists = 0
        self.under_way = self.most = 0
        self.then: Any = None

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        self.calls.append(call)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await (self.then.wait() if self.then is not None else asyncio.sleep(0))
        finally:
            self.under_way -= 1
        return given(self.answer)

    async def probe(self, timeout: float) -> float:
        self.lists += 1
        return given(self.listed)

    async def list_models(self) -> list[ModelListing]:
        return given(self.listed)

    async def model_details(self, model: str) -> ModelListing | None:
        found = self.details.get(model)
        if found == "silence":
            await asyncio.Event().wait()
        return given(found)

    async def quota(self) -> QuotaStatus | None:
        return given(self.left)


def given(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value


class Journal:
    def __init__(self) -> None:
        self.begun: list[tuple[Any, ...]] = []
        self.settled: list[tuple[Any, ...]] = []

    def begin(self, request: bytes, at: float, *rest: Any) -> None:
        self.begun.append(rest)

    def settle(self, request: bytes, at: float, *rest: Any) -> None:
        self.settled.append(rest)


class Core:
    def __init__(
        self,
        *models: ModelSpec,
        allowances: tuple[Allowance, ...] = (),
        provider: ProviderSpec | None = None,
        **pool: Any,
    ) -> None:
        specs = models or (model("a"),)
        self.pool = PoolSpec("chat", CHAT, tuple(each.id for each in specs), **pool)
        table = RoutingTable(
            CapabilityTree.default(), specs, [provider or ProviderSpec("p", "x")], [self.pool], (), allowances
        )
        self.provider = FakeProvider()
        self.leases = 0
        self.told: list[tuple[str, Any]] = []
        self.changes: list[Any] = []
        self.keeper = SimpleNamespace(changed=self.changed, used=lambda model, provider: None)
        self.blamed: list[FailureKind] = []
        self.generation = None
        self.settlements = 0
        self.providers = SimpleNamespace(lease=self.lease)
        self.mesh = SimpleNamespace(
            table=table,
            state=MeshState(),
            ledger=Journal(),
            provider=self.lease,
            settled=self.settled,
            changed=self.changed,
            failed=lambda provider, failure: self.blamed.append(failure.kind),
            renewed=self.no_other_key,
        )
        self.mesh.state.accounts.configure(table.allowances, "UTC")

    async def no_other_key(self, *refused: Any) -> None:
        return None

    @contextlib.contextmanager
    def lease(self, name: str) -> Iterator[FakeProvider]:
        self.leases += 1
        yield self.provider

    def settled(self) -> None:
        self.settlements += 1

    def tell(self, actor: str, message: Any) -> None:
        self.told.append((actor, message))

    def changed(self, changes: list[Any]) -> None:
        self.changes += changes

    def spent(self) -> tuple[int, int]:
        """(cost, reserved) of the provider's day."""
        row = next(row for row in self.mesh.state.accounts.standing(time.time()) if row["scope"] == "provider")
        return row["spent"], row["reserved"]

    def member(self, id: str = "p.a") -> Any:
        return self.mesh.state.member("chat", id).availability

    async def ask(self, id: str = "p.a", timeout: float = 5.0) -> None:
        await ask_one_token(self, self.pool, self.mesh.table.models[id], timeout)  # type: ignore[arg-type]

    async def probe(self, message: messages.Probe) -> messages.Probed:
        await Probing(self).provider(message)  # type: ignore[arg-type]
        actor, probed = self.told.pop()
        assert actor == "health"
        return probed

    async def probe_models(self, **given: Any) -> None:
        await Probing(self).models(messages.ProbeModels("chat", 5.0, **given))  # type: ignore[arg-type]


async def until_asked(core: Core) -> None:
    for _ in range(20):
        if core.provider.calls:
            return
        await asyncio.sleep(0)
    raise AssertionError("it was not asked")


def model(name: str, *capabilities: str, **given: Any) -> ModelSpec:
    return ModelSpec(f"p.{name}", "p", name, capabilities or (CHAT,), pricing=PRICES, **given)


def budget(limit: int) -> Allowance:
    return Allowance("provider", "p", "cost", "day", limit)


# -- one token -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "operation", "fields"),
    [
        (CHAT, Operation.CHAT, {"messages", "max_tokens"}),
        (COMPLETION, Operation.COMPLETION, {"prompt", "max_tokens"}),
        (EMBEDDINGS, Operation.EMBEDDINGS, {"input"}),
    ],
)
async def test_each_kind_of_model_is_asked_for_the_least(capability: str, operation: Operation, fields: Any) -> None:
    core = Core(model("a", capability, overrides={"max_tokens": 4096}))
    await core.ask()
    (call,) = core.provider.calls
    assert (call.operation, call.model, call.fields.keys() - {"model"}) == (operation, "a", fields)
    assert call.fields.get("max_tokens") in (None, msgspec.Raw(b"1"))


async def test_what_it_cost_is_reserved_written_down_and_settled() -> None:
    core = Core(allowances=(budget(10**9),))
    core.provider.then = asyncio.Event()
    task = asyncio.ensure_future(core.ask())
    await asyncio.sleep(0)
    assert core.spent()[1] >= COST
    (begun,) = core.mesh.ledger.begun
    assert begun[:4] == ("p", "p.a", "chat", "")
    assert begun[4] >= COST
    core.provider.then.set()
    await task
    assert core.spent() == (COST, 0)
    assert core.mesh.ledger.settled == [(7, 1, 0, COST, True, 1, True)]
    known = core.mesh.state.model("p.a")
    assert (known.tokens_in, known.tokens_out, known.cost, known.requests) == (7, 1, COST, 0)
    assert core.mesh.state.provider("p").cost == COST
    assert core.settlements == 1


async def test_none_is_sent_to_a_model_that_is_over_budget() -> None:
    core = Core(allowances=(budget(1),))
    with pytest.raises(NotSent, match=r"provider p"):
        await core.ask()
    assert (core.leases, core.mesh.ledger.begun, core.spent()) == (0, [], (0, 0))


async def test_nor_to_one_that_cannot_be_asked_for_a_token() -> None:
    core = Core(model("a", IMAGES), model("b", synchronous=False), model("c"))
    for id in ("p.a", "p.b"):
        with pytest.raises(NotSent, match="cannot be asked for one token"):
            await core.ask(id)


async def test_an_answer_without_usage_is_counted() -> None:
    core = Core(allowances=(budget(10**9),))
    core.provider.answer = ProviderAnswer(b'{"choices": [{"message": {"content": "Hello"}}]}')
    await core.ask()
    assert core.spent()[0] > 0
    assert core.mesh.ledger.settled[0][:2] > (0, 0)


@pytest.mark.parametrize(
    ("answer", "kind", "costs"),
    [
        (SERVER, FailureKind.SERVER, False),
        (TimeoutError(), FailureKind.TIMEOUT, True),
        (ZeroDivisionError(), FailureKind.BAD_ANSWER, True),
        (ProviderFailure(FailureKind.CONNECTION, "refused", unsent=True), FailureKind.CONNECTION, False),
    ],
)
async def test_a_failure_is_settled_by_what_it_may_have_cost(answer: Any, kind: FailureKind, costs: bool) -> None:
    core = Core(allowances=(budget(10**9),))
    core.provider.answer = answer
    with pytest.raises(ProviderFailure) as failed:
        await core.ask()
    assert failed.value.kind is kind
    spent, reserved = core.spent()
    assert ((spent > 0), reserved) == (costs, 0)
    assert core.mesh.ledger.settled[0][4] is False


async def test_what_never_left_is_not_written_down() -> None:
    core = Core(allowances=(budget(10**9),))

    @contextlib.contextmanager
    def broken(name: str) -> Iterator[Any]:
        raise ProviderFailure(FailureKind.CONNECTION, "p is not configured any more")
        yield

    core.mesh.provider = broken
    with pytest.raises(ProviderFailure):
        await core.ask()
    assert (core.mesh.ledger.begun, core.mesh.ledger.settled, core.spent()) == ([], [], (0, 0))


async def test_one_that_is_cancelled_is_settled() -> None:
    core = Core(allowances=(budget(10**9),))
    core.provider.then = asyncio.Event()
    task = asyncio.ensure_future(core.ask())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert core.spent()[1] == 0
    assert core.mesh.ledger.settled


async def test_a_key_that_is_refused_rests_alone() -> None:
    keys = ProviderSpec("p", "x", keys=(KeySpec("k1"), KeySpec("k2")))
    core = Core(provider=keys)
    core.provider.answer = REFUSED
    with pytest.raises(NotSent, match="one key of p was refused"):
        await core.ask()
    with pytest.raises(ProviderFailure, match="bad key"):
        await core.ask()
    assert {call.key for call in core.provider.calls} == {"k1", "k2"}


# -- models of a pool ------------------------------------------------------------------------------------


async def test_a_start_finds_out_who_does_not_answer() -> None:
    core = Core(model("a"), model("b"))
    core.provider.answer = ProviderFailure(FailureKind.TIMEOUT, "no answer")
    await core.probe_models(models=("p.b",))
    (change,) = core.changes
    assert (change.scope, change.model, change.reason) == ("member", "p.b", "it does not answer probes: no answer")
    assert core.blamed == [FailureKind.TIMEOUT]
    assert len(core.provider.calls) == 1


async def test_those_that_rest_and_answer_are_back() -> None:
    core = Core(model("a"), model("b"))
    recovery.stand_by(core.member(), "it fails", "server", core.pool.recovery, 0.0)
    await core.probe_models(resting=True)
    assert [(change.scope, change.available) for change in core.changes] == [("member", True)]
    assert [call.model for call in core.provider.calls] == ["a"]


async def test_a_probe_holds_the_place_of_a_test_and_gives_it_back() -> None:
    core = Core()
    recovery.stand_by(core.member(), "it fails", "server", core.pool.recovery, 0.0)
    core.provider.then, core.provider.answer = asyncio.Event(), SERVER
    task = asyncio.ensure_future(core.probe_models(resting=True))
    await until_asked(core)
    assert core.member().tester is not None
    await core.probe_models(resting=True)
    assert len(core.provider.calls) == 1, "one test at a time"
    core.provider.then.set()
    await task
    assert core.member().tester is None
    assert core.member().relapses == 2


async def test_no_token_no_verdict() -> None:
    core = Core(allowances=(budget(1),))
    await core.probe_models()
    assert (core.changes, core.blamed, core.member().tester) == ([], [], None)


async def test_a_few_at_a_time() -> None:
    core = Core(*(model(f"m{number}") for number in range(20)))
    await core.probe_models()
    assert len(core.provider.calls) == 20
    assert core.provider.most == AT_ONCE


async def test_none_in_a_maintenance_window_nor_of_a_pool_that_is_gone() -> None:
    core = Core(deactivation=DeactivationPolicy(maintenance="* * * * * 2h"))
    await core.probe_models()
    await Probing(core).models(messages.ProbeModels("gone", 5.0))  # type: ignore[arg-type]
    assert core.provider.calls == []


async def test_a_provider_that_a_reload_took_away_meanwhile_is_not_judged() -> None:
    core = Core()
    core.provider.then = asyncio.Event()
    task = asyncio.ensure_future(core.probe_models())
    await until_asked(core)
    core.mesh.table = RoutingTable.empty()
    core.provider.then.set()
    await task
    assert core.changes == []
    with pytest.raises(NotSent, match="a reload took it away"):
        await ask_one_token(core, core.pool, model("a"), 5.0)  # type: ignore[arg-type]


# -- providers -------------------------------------------------------------------------------------------


async def test_a_provider_is_asked_for_its_list() -> None:
    core = Core()
    probed = await core.probe(LIST)
    assert (probed.provider, probed.token, probed.error, core.provider.lists) == ("p", 1, "", 1)
    assert core.provider.calls == []


@pytest.mark.parametrize(
    ("listed", "kind"),
    [(SERVER, "server"), (TimeoutError(), "timeout"), (ZeroDivisionError(), "bad_answer")],
)
async def test_how_its_probe_failed(listed: Any, kind: str) -> None:
    core = Core()
    core.provider.listed = listed
    probed = await core.probe(LIST)
    assert probed.error
    assert probed.kind == kind


async def test_or_for_a_token_which_is_settled_like_any_other() -> None:
    core = Core(model("i", IMAGES), model("off"), model("a"), allowances=(budget(10**9),))
    core.mesh.state.model("p.off").deactivated = "by hand"
    assert (await core.probe(TOKEN)).error == ""
    assert [call.model for call in core.provider.calls] == ["a"]
    assert core.spent() == (COST, 0)
    core.provider.answer = ProviderFailure(FailureKind.UNSUPPORTED, "no max_tokens", status=400)
    assert (await core.probe(TOKEN)).error == "", "it took the request apart: it is there"
    core.provider.answer = SERVER
    assert (await core.probe(TOKEN)).kind == "server"


async def test_where_none_may_be_spent_the_list_has_to_do() -> None:
    core = Core(allowances=(budget(1),))
    assert (await core.probe(TOKEN)).error == ""
    assert (core.provider.lists, core.provider.calls) == (1, [])
    core.provider.listed = ProviderFailure(FailureKind.UNSUPPORTED, "it lists none")
    await Probing(core).provider(TOKEN)  # type: ignore[arg-type]
    assert core.told == [], "which says nothing of the provider"


async def test_a_model_in_no_pool_is_probed_as_a_pool_of_its_own() -> None:
    core = Core()
    core.mesh.table = RoutingTable(CapabilityTree.default(), [model("a")], [ProviderSpec("p", "x")], [])
    await core.probe(TOKEN)
    assert core.mesh.ledger.begun[0][2] == "p.a"


# -- quotas ----------------------------------------------------------------------------------------------


async def test_what_a_provider_says_of_its_quota_is_acted_on() -> None:
    core = Core()
    core.provider.left = QuotaStatus(remaining=0.0)
    await core.probe(msgspec.structs.replace(LIST, quota=True))
    assert [change.scope for change in core.changes] == ["provider"]
    assert core.mesh.state.provider("p").quota == core.provider.left


@pytest.mark.parametrize("left", [None, SERVER, TimeoutError(), ZeroDivisionError()])
async def test_what_it_does_not_say_changes_nothing(left: Any) -> None:
    core = Core()
    core.provider.left = left
    await core.probe(msgspec.structs.replace(LIST, quota=True))
    assert (core.changes, core.mesh.state.provider("p").quota) == ([], None)


# -- lists -----------------------------------------------------------------------------------------------


async def listed(core: Core, details: bool = True, timeout: float = 5.0) -> messages.ModelsListed:
    await Listing(core).models(messages.ListModels("p", timeout, details))  # type: ignore[arg-type]
    return core.told.pop()[1]


async def test_details_add_what_a_list_does_not_say() -> None:
    core = Core()
    core.provider.listed = [ModelListing(name, ("chat-completion",), 1000) for name in "abc"]
    core.provider.details = {
        "a": ModelListing("other", ("text-embeddings",), None, 64, ("vision",), True),
        "b": SERVER,
    }
    a, b, c = (await listed(core)).models
    assert (a["id"], a["capabilities"], a["context_window"], a["max_output_tokens"]) == (
        "a",
        ["text-embeddings"],
        1000,
        64,
    )
    assert (a["features"], a["deprecated"]) == (["vision"], True)
    assert b["context_window"] == c["context_window"] == 1000
    core.provider.details = {"a": ZeroDivisionError()}
    assert (await listed(core, details=False)).models[0]["max_output_tokens"] is None
    assert "ZeroDivisionError" in (await listed(core)).error


async def test_who_does_not_describe_its_models_in_time_has_listed_them() -> None:
    core = Core()
    core.provider.listed = [ModelListing(str(number)) for number in range(20)]
    core.provider.details = {str(number): "silence" for number in range(20)}
    assert len((await listed(core, timeout=0.05)).models) == 20


@pytest.mark.parametrize("failed", [SERVER, TimeoutError(), ZeroDivisionError()])
async def test_a_list_that_does_not_come_is_told(failed: Any) -> None:
    core = Core()
    core.provider.listed = failed
    found = await listed(core)
    assert (found.models, bool(found.error)) == ((), True)


async def test_a_model_that_its_provider_lists_no_longer_is_set_aside_until_it_does() -> None:
    core = Core(model("a"), model("b"))
    sync = SimpleNamespace(on_deprecated_model="deactivate")
    core.generation = SimpleNamespace(config=SimpleNamespace(discovery=SimpleNamespace(sync=sync)))
    listing, known = Listing(core), core.mesh.state.model  # type: ignore[arg-type]
    listing.compare("p", {"a"})  # b was never listed: its list may simply be incomplete
    listing.compare("other", set())
    assert core.changes == []
    listing.compare("p", {"b"})
    assert known("p.a").availability.reason == "its provider no longer lists it"
    listing.compare("p", {"a", "b"})
    assert not known("p.a").availability.standby
    assert [(change.model, change.available) for change in core.changes] == [("p.a", False), ("p.a", True)]
    sync.on_deprecated_model = "notify"
    listing.compare("p", set())
    assert len(core.changes) == 2
