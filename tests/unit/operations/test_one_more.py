"""One more operation is one record: models are asked for it, and its answers read, cached, priced and explained."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.connectors.providers.scripted.script import Script
from meshd.connectors.providers.scripted.server import ScriptedServer
from meshd.core.prices import Pricing
from meshd.gateway.upkeep.token_probe import NotSent, ask_one_token
from meshd.operations.known import OPERATIONS
from meshd.routing.table.policies import CachePolicy, RetryPolicy
from meshd.routing.table.specs import Allowance, ModelSpec, PoolSpec
from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.provider import ProviderSettings
from modelmesh import InvalidRequestError, MeshError
from tests.support.gateway.builder import CHAT, SCRIPTED, Gateway
from tests.support.gateway.probed import Journal

GRADING = "evaluation.answer-grading"
PATH = "/v1/grades"
GRADE = OperationSpec(
    name="grades",
    word="grades",
    paths={"openai": PATH},
    capabilities=(GRADING,),
    text=("question", "answers"),
    example=lambda text: {"question": text, "answers": [text]},
    rows=("graded", "grade"),
    units=lambda fields: {"searches": 1},
    output=False,
    repeats=True,
    streamed=False,
    continued=False,
)
SEARCH = 2_000_000  # 10⁻⁹ USD
BODY = {"question": "which one", "answers": ["the first", "the second"]}


@pytest.fixture
def grades(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OperationSpec:
    operation = replace(GRADE, **getattr(request, "param", {}))
    monkeypatch.setitem(OPERATIONS, operation.name, operation)
    return operation


@pytest.fixture
async def upstream(grades: OperationSpec) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def gateway(upstream: ScriptedServer) -> AsyncIterator[Gateway]:
    """A pool of one model that grades, and one that chats, for a dollar a million tokens."""
    price = Pricing.of({"input_per_1m": 1_000_000_000, "per_search": SEARCH})
    made = Gateway(
        models=[
            ModelSpec("p.grader", "p", "grader", (GRADING,), pricing=price),
            ModelSpec("p.chat", "p", "chat", (CHAT,)),
        ],
        pools=[PoolSpec("all", "", ("p.chat", "p.grader"), cache=CachePolicy(), retry=RetryPolicy(2))],
        allowances=[Allowance("provider", "p", "cost", "day", 10**9)],
        connect=lambda settings: OpenAIProvider(ProviderSettings("p", SCRIPTED, base_url=f"{upstream.url}/v1")),
    )
    made.runtime.ledger = Journal()
    yield made
    await made.runtime.connectors.close()


async def ask(gateway: Gateway, model: str = "all", **body: Any) -> Any:
    sent = json.dumps({"model": model, **BODY, **body}).encode()
    return json.loads(await asyncio.wait_for(gateway.router.inproc.send("POST", PATH, sent).whole(), 10))


async def test_a_model_that_can_is_asked_and_its_answer_read(gateway: Gateway, upstream: ScriptedServer) -> None:
    answer = await ask(gateway)
    assert [row["index"] for row in answer["graded"]] == [0, 1]
    assert upstream.script.served_by_model == {"grader": 1}
    (outcome,) = gateway.outcomes
    assert (outcome.operation, outcome.model, outcome.tokens_in, outcome.tokens_out) == ("grades", "p.grader", 4, 0)


async def test_the_same_question_is_answered_from_the_cache(gateway: Gateway, upstream: ScriptedServer) -> None:
    assert await ask(gateway) == await ask(gateway)
    assert upstream.script.served == 1
    assert await ask(gateway, question="which other one")
    assert upstream.script.served == 2


async def test_it_is_reserved_and_settled_at_its_price(gateway: Gateway) -> None:
    await ask(gateway)
    ledger = gateway.runtime.ledger
    assert isinstance(ledger, Journal)
    (begun,), (settled,) = ledger.begun, ledger.settled
    assert begun[4] >= settled[3] == 4 * 1000 + SEARCH


@pytest.mark.parametrize(
    ("grades", "reported", "searches"),
    [
        ({}, {}, 1),  # as reserved
        ({}, {"search_units": 0}, 0),
        ({}, {"search_units": 900}, 1),  # no more than could be asked
        ({"units": None}, {"search_units": 1}, 0),  # nothing was reserved for it
    ],
    indirect=["grades"],
)
async def test_units_beside_tokens_are_reserved_priced_and_written_down(
    gateway: Gateway, upstream: ScriptedServer, grades: OperationSpec, reported: dict[str, int], searches: int
) -> None:
    upstream.script = Script({"script": [{"usage": reported}]})
    await ask(gateway)
    ledger = gateway.runtime.ledger
    assert isinstance(ledger, Journal)
    (begun,), (settled,) = ledger.begun, ledger.settled
    reserved = SEARCH if grades.units else 0
    assert begun[4] - reserved == begun[8] * 1000
    assert settled[3] == 4 * 1000 + searches * SEARCH
    assert begun[10:] == (({"searches": 1},) if grades.units else ())
    used = {"searches": searches} if grades.units else {}
    assert settled[7:] == ((used,) if used else ())
    (outcome,) = gateway.outcomes
    assert (outcome.units, [attempt.units for attempt in outcome.attempts]) == (used, [used])


@pytest.mark.parametrize("grades", [{"tokens": False}], indirect=True)
async def test_a_report_without_tokens_is_whole_where_none_are_counted(
    gateway: Gateway, upstream: ScriptedServer
) -> None:
    upstream.script = Script({"script": [{"usage": {"prompt_tokens": 0, "total_tokens": 0, "search_units": 1}}]})
    await ask(gateway)
    (outcome,) = gateway.outcomes
    assert (outcome.tokens_in, outcome.cost, gateway.events) == (0, SEARCH, [])


async def test_it_is_explained_with_and_without_its_path(gateway: Gateway) -> None:
    for path in ({"path": PATH}, {}):
        found = await gateway.post("/mesh/v1/explain", model="all", **BODY, **path)
        assert (found["chosen"], found["needs"]["operation"], found["cache"]["applies"]) == ("p.grader", "grades", True)
        (chat,) = (row for stage in found["stages"] for row in stage["dropped"] if row["model"] == "p.chat")
        assert chat["reason"] == "does not answer grades: it offers chat-completion"


async def test_a_body_is_for_the_operation_whose_field_it_has_beside_empty_messages(gateway: Gateway) -> None:
    """As `ModelMesh.router.explain` asks."""
    for body, operation in ((BODY, "grades"), ({"input": "a"}, "embeddings"), ({}, "chat.completions")):
        found = await gateway.post("/mesh/v1/explain", model="all", messages=[], **body)
        assert found["needs"]["operation"] == operation


async def test_a_model_that_cannot_says_so(gateway: Gateway) -> None:
    with pytest.raises(InvalidRequestError, match="does not answer grades"):
        await ask(gateway, "p.chat")


async def test_its_models_are_probed_with_its_smallest_request(gateway: Gateway, upstream: ScriptedServer) -> None:
    table = gateway.runtime.table
    await ask_one_token(gateway.runtime, table.pools["all"], table.models["p.grader"], 5.0)
    assert upstream.script.served_by_model == {"grader": 1}


@pytest.mark.parametrize("grades", [{"example": None}], indirect=True)
async def test_or_not_if_it_has_none(gateway: Gateway) -> None:
    table = gateway.runtime.table
    with pytest.raises(NotSent):
        await ask_one_token(gateway.runtime, table.pools["all"], table.models["p.grader"], 5.0)


@pytest.mark.parametrize("grades", [{"cached": False}], indirect=True)
async def test_what_may_not_be_cached_is_asked_each_time(gateway: Gateway, upstream: ScriptedServer) -> None:
    await ask(gateway)
    await ask(gateway)
    assert upstream.script.served == 2


@pytest.mark.parametrize(("grades", "again"), [({}, True), ({"retried": False}, False)], indirect=["grades"])
async def test_what_may_have_been_carried_out_is_asked_again_if_it_may_be(
    gateway: Gateway, upstream: ScriptedServer, again: bool
) -> None:
    upstream.script = Script({"script": [{"fault": "reset"}]})
    with pytest.raises(MeshError, match="cannot be reached"):
        await ask(gateway)
    assert (upstream.script.served > 1) is again
