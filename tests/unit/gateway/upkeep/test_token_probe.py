"""A request for one token: through budget, limits and journal like any other."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from meshd.gateway.upkeep.token_probe import NotSent
from meshd.operations import chat, completion, embeddings
from meshd.routing.attempts.fair_queue import Waiter
from meshd.routing.table.specs import KeySpec, ProviderSpec
from meshd.sdk.provider import FailureKind, OperationSpec, ProviderAnswer, ProviderFailure
from tests.support.gateway.builder import CHAT, SCRIPTED
from tests.support.gateway.probed import COST, REFUSED, SERVER, Probed, budget, model

COMPLETION = "generation.text-generation.text-completion"
EMBEDDINGS = "representation.embeddings.text-embeddings"
IMAGES = "generation.image-generation.text-to-image"


@pytest.mark.parametrize(
    ("capability", "operation", "fields"),
    [
        (CHAT, chat.CHAT, {"messages", "max_tokens"}),
        (COMPLETION, completion.COMPLETION, {"prompt", "max_tokens"}),
        (EMBEDDINGS, embeddings.EMBEDDINGS, {"input"}),
    ],
)
async def test_each_kind_of_model_is_asked_for_the_least(
    capability: str, operation: OperationSpec, fields: Any
) -> None:
    made = Probed(model("a", capability, overrides={"max_tokens": 4096}))
    await made.ask()
    (call,) = made.provider.calls
    assert (call.operation, call.model, call.fields.keys() - {"model"}) == (operation, "a", fields)
    assert call.fields.get("max_tokens") in (None, msgspec.Raw(b"1"))


async def test_what_it_cost_is_reserved_written_down_and_settled() -> None:
    made, room = Probed(allowances=(budget(10**9),)), []
    made.runtime.room.queue.add(Waiter("app", "chat", lambda: bool(room.append("made")) or True))
    made.provider.then = asyncio.Event()
    task = asyncio.ensure_future(made.ask())
    await asyncio.sleep(0)
    assert made.spent()[1] >= COST
    (begun,) = made.journal.begun
    assert begun[:4] == ("p", "p.a", "chat", "")
    assert begun[4] >= COST
    made.provider.then.set()
    await task
    assert made.spent() == (COST, 0)
    assert made.journal.settled == [(7, 1, 0, COST, True, 1, True)]
    known = made.runtime.state.model("p.a")
    assert (known.tokens_in, known.tokens_out, known.cost, known.requests) == (7, 1, COST, 0)
    assert made.runtime.state.provider("p").cost == COST
    await asyncio.sleep(0)
    assert room == ["made"]


async def test_none_is_sent_to_a_model_that_is_over_budget() -> None:
    made = Probed(allowances=(budget(1),))
    with pytest.raises(NotSent, match=r"provider p"):
        await made.ask()
    assert (made.provider.calls, made.journal.begun, made.spent()) == ([], [], (0, 0))


async def test_nor_to_one_that_cannot_be_asked_for_a_token() -> None:
    made = Probed(model("a", IMAGES), model("b", synchronous=False), model("c"))
    for id in ("p.a", "p.b"):
        with pytest.raises(NotSent, match="cannot be asked for one token"):
            await made.ask(id)


async def test_an_answer_without_usage_is_counted() -> None:
    made = Probed(allowances=(budget(10**9),))
    made.provider.answer = ProviderAnswer(b'{"choices": [{"message": {"content": "Hello"}}]}')
    await made.ask()
    assert made.spent()[0] > 0
    assert made.journal.settled[0][:2] > (0, 0)


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
    made = Probed(allowances=(budget(10**9),))
    made.provider.answer = answer
    with pytest.raises(ProviderFailure) as failed:
        await made.ask()
    assert failed.value.kind is kind
    spent, reserved = made.spent()
    assert ((spent > 0), reserved) == (costs, 0)
    assert made.journal.settled[0][4] is False


async def test_what_never_left_is_not_written_down() -> None:
    made = Probed(allowances=(budget(10**9),))
    made.runtime.connectors.replace({})
    with pytest.raises(ProviderFailure):
        await made.ask()
    assert (made.journal.begun, made.journal.settled, made.spent()) == ([], [], (0, 0))


async def test_one_that_is_cancelled_is_settled() -> None:
    made = Probed(allowances=(budget(10**9),))
    made.provider.then = asyncio.Event()
    task = asyncio.ensure_future(made.ask())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.spent()[1] == 0
    assert made.journal.settled


async def test_a_key_that_is_refused_rests_alone() -> None:
    keys = ProviderSpec("p", SCRIPTED, keys=(KeySpec("k1"), KeySpec("k2")))
    made = Probed(provider=keys)
    made.provider.answer = REFUSED
    with pytest.raises(NotSent, match="one key of p was refused"):
        await made.ask()
    with pytest.raises(ProviderFailure, match="bad key"):
        await made.ask()
    assert {call.key for call in made.provider.calls} == {"k1", "k2"}
