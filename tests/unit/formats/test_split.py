"""A request with more inputs than a provider takes at once, asked in several calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from meshd.catalogue.known import provider_row
from meshd.core.needs import RequestNeeds
from meshd.formats.openai.format import OPENAI
from meshd.formats.split import MOST_CALLS, Split, in_calls, most_at_once
from meshd.gateway.requests.attempts.usage_meter import UsageMeter
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk.provider import FailureKind, ProviderAnswer, ProviderCall, ProviderFailure, StreamEvent, Usage

TEXTS = [f"text {n}" for n in range(10)]


def call(given: Any, model: str = "m", operation: Any = EMBEDDINGS, **more: Any) -> ProviderCall:
    fields = {"input": msgspec.Raw(json.dumps(given).encode()), "dimensions": msgspec.Raw(b"2")}
    return ProviderCall(operation, model, fields, **more)


def provider(speaks: str = "openai", **quirks: Any) -> Any:
    return SimpleNamespace(name="here", speaks=speaks, settings=SimpleNamespace(quirks=quirks))


class Embedder:
    """Each row says its text. asked: the texts of each call. fails: at this text, when all other calls have ended.
    holds: no call ends. odd: what an answer is instead."""

    name = "here"

    def __init__(self, fails: str = "", holds: bool = False, odd: Any = None, counts: bool = True) -> None:
        self.asked: list[list[str]] = []
        self.fails, self.holds, self.odd, self.counts = fails, holds, odd, counts
        self.open = self.most_open = self.cut = 0
        self.ended, self.full = asyncio.Event(), asyncio.Event()

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        texts = json.loads(bytes(call.fields["input"]))
        self.asked.append(texts)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        if self.open == MOST_CALLS:
            self.full.set()
        try:
            await asyncio.sleep(0)
            if self.fails in texts:
                await self.ended.wait()
                raise ProviderFailure(FailureKind.RATE_LIMIT, "slower", status=429)
            if self.holds:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cut += 1
            raise
        finally:
            self.open -= 1
        self.ended.set()
        rows = [{"object": "embedding", "index": n, "embedding": [text]} for n, text in enumerate(texts)]
        used = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
        document = {"object": "list", "data": rows[::-1], "model": "theirs", "usage": used}
        body = json.dumps(document if self.odd is None else self.odd).encode()
        return ProviderAnswer(body, Usage(3 * len(texts)) if self.counts else None, headers={"x-id": texts[0]})

    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        raise NotImplementedError


async def test_the_rows_come_in_order_and_the_usage_is_summed() -> None:
    embedder = Embedder()
    asked = in_calls(embedder, provider(at_once={"embeddings": 3}), call(TEXTS))
    answer = await asked.execute(call(TEXTS))
    document = json.loads(answer.body)
    assert [(row["index"], *row["embedding"]) for row in document["data"]] == list(enumerate(TEXTS))
    assert (document["object"], document["model"]) == ("list", "theirs")
    assert document["usage"] == {"prompt_tokens": 30, "total_tokens": 30}
    assert answer.usage == Usage(30)
    assert sorted(embedder.asked) == [TEXTS[:3], TEXTS[3:6], TEXTS[6:9], TEXTS[9:]]
    assert embedder.most_open == MOST_CALLS


async def test_what_one_call_does_not_count_is_counted_by_the_mesh() -> None:
    answer = await in_calls(Embedder(counts=False), provider(at_once={"embeddings": 3}), call(TEXTS)).execute(
        call(TEXTS)
    )
    assert answer.usage is None


@pytest.mark.parametrize(
    ("given", "model", "speaks", "quirks", "most"),
    [
        (TEXTS, "m", "openai", {}, 0),
        (TEXTS, "m", "cohere", {}, 96),
        (TEXTS, "m", "gemini", {}, 100),
        (TEXTS, "m", "gemini", {"at_once": {"embeddings": 7}}, 7),
        (TEXTS, "us.amazon.titan-embed-text-v2:0", "bedrock", {}, 1),
        (TEXTS, "cohere.embed-v4:0", "bedrock", {}, 96),
        (TEXTS, "b", "openai", {"at_once": {"embeddings": {"a*": 2}}}, 0),
    ],
)
def test_what_a_provider_takes_is_data(given: Any, model: str, speaks: str, quirks: Any, most: int) -> None:
    asked, here = call(given, model), provider(speaks, **quirks)
    assert most_at_once(here, asked) == most
    assert isinstance(in_calls(Embedder(), here, asked), Split) is (0 < most < len(given))


@pytest.mark.parametrize("given", ["one text", [1, 2, 3, 4, 5], ["a", "b"], [], None, [[1, 2], [3]]])
def test_no_more_than_it_takes_is_one_call(given: Any) -> None:
    embedder = Embedder()
    assert in_calls(embedder, provider(at_once={"embeddings": 2}), call(given)) is embedder
    assert in_calls(embedder, provider(at_once={"embeddings": 2}), call(TEXTS, operation=CHAT)) is embedder


@pytest.mark.parametrize(
    ("given", "tokens", "parts"),
    [
        (["aaaaaa", "bbbb", "cc", "d"], 8, [["aaaaaa", "bbbb"], ["cc", "d"]]),
        (["a" * 50, "b", "c"], 8, [["a" * 50], ["b", "c"]]),
        (["b", "a" * 50], 8, [["b"], ["a" * 50]]),
        ([[100, 200, 300], [400, 500, 600]], 8, [[[100, 200, 300]], [[400, 500, 600]]]),
        (["a"] * 5, 100, [["a"] * 5]),
        (list(range(100, 120)), 8, [list(range(100, 120))]),
    ],
)
async def test_a_call_takes_so_many_tokens(given: Any, tokens: int, parts: Any) -> None:
    embedder = Embedder()
    here = provider(tokens_at_once={"embeddings": tokens}, at_once={"embeddings": 50})
    await in_calls(embedder, here, call(given)).execute(call(given))
    assert sorted(embedder.asked, key=str) == sorted(parts, key=str)


def test_the_known_limits_are_in_the_rows() -> None:
    for id, most in {"openai.llm.v1": 2048, "voyage.api.v1": 1000, "alibaba.dashscope.v1": 10}.items():
        row = provider_row(id)
        assert row is not None
        assert row.quirks["at_once"] == {"embeddings": most}


async def test_a_failure_costs_what_the_other_calls_used() -> None:
    """Those that were cut are counted by their texts. No other one begins."""
    embedder, many = Embedder(fails="text x"), ["text x", *TEXTS * 10]
    asked = in_calls(embedder, provider(at_once={"embeddings": 1}), call(many))
    with pytest.raises(ProviderFailure) as raised:
        await asked.execute(call(many))
    failure = raised.value
    assert (failure.kind, failure.status, failure.unsent, failure.part) == (FailureKind.RATE_LIMIT, 429, False, True)
    answered = len(embedder.asked) - 1 - embedder.cut
    assert answered >= 1
    assert failure.usage == Usage(3 * answered + 2 * embedder.cut)
    assert len(embedder.asked) < len(many)
    assert embedder.open == 0
    needs = RequestNeeds(EMBEDDINGS, tokens=10**6)
    meter = UsageMeter(OPENAI.app)
    meter.count_failure(failure)
    assert meter.used(needs, _model(), failure) == failure.usage, "however little of the whole it is"


def _model() -> Any:
    from tests.support.config.compiling import compiled

    made = compiled({"providers": {"p": {"connector": "openai-compatible.v1", "base_url": "http://x/v1"}},
                     "models": {"p.m": {"capabilities": ["text-embeddings"]}}})  # fmt: skip
    return made.table.models["p.m"]


async def test_cancelling_ends_all_calls() -> None:
    embedder = Embedder(holds=True)
    asked = in_calls(embedder, provider(at_once={"embeddings": 1}), call(TEXTS))
    running = asyncio.ensure_future(asked.execute(call(TEXTS)))
    await asyncio.wait_for(embedder.full.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (embedder.cut, embedder.open) == (MOST_CALLS, 0)


@pytest.mark.parametrize(
    "odd", [{"data": []}, {"data": [{"index": 0}, {"index": 0}]}, {"data": [{"index": "x"}, {}]}, {"rows": []}, []]
)
async def test_what_cannot_be_joined_is_no_answer(odd: Any) -> None:
    asked = in_calls(Embedder(odd=odd), provider(at_once={"embeddings": 2}), call(TEXTS))
    with pytest.raises(ProviderFailure) as raised:
        await asked.execute(call(TEXTS))
    assert raised.value.kind is FailureKind.BAD_ANSWER
