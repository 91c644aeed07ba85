"""Counting with the real vocabularies."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.formats.openai.body.needs import read
from meshd.formats.openai.format import OPENAI
from meshd.gateway.requests import token_counting
from meshd.gateway.requests.token_counting import (
    PER_CUT,
    SHORT,
    Body,
    count_all,
    count_short,
    count_text,
    in_pieces,
    pieces,
)
from meshd.operations.chat import CHAT
from tests.support.formats.bodies import split

pytest.importorskip("splintr")

WORDS = "the of and routing quota résumé 模型 🦊 12345 <|endoftext|> <| |> \n \t \"\\ {}: aaaaaaaa ''s"


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    token_counting.load("o200k_base")
    token_counting.load("cl100k_base")


TEXTS = some.lists(some.sampled_from(WORDS.split(" ")) | some.text(max_size=5), max_size=60)


def body(content: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]} | more).encode()


def given_body(of: bytes) -> Body:
    return Body(OPENAI.app, split(of))


def needs(of: bytes) -> RequestNeeds:
    return read(CHAT, of)[1]


@pytest.mark.parametrize(
    ("vocabulary", "text", "count"),
    [
        ("o200k_base", "Hello world", 2),
        ("cl100k_base", "Hello world", 2),
        ("cl100k_base", "tiktoken is great!", 6),  # OpenAI's cookbook, as are the next two
        ("cl100k_base", "antidisestablishmentarianism", 6),
        ("o200k_base", "お誕生日おめでとう", 8),
        ("o200k_base", "<|endoftext|>", 7),
        ("o200k_base", "", 0),
    ],
)
def test_counts_are_openais(vocabulary: str, text: str, count: int) -> None:
    assert count_text(vocabulary, text) == count


def test_a_chat_is_counted_as_openai_counts_it() -> None:
    """The example of the cookbook's "Counting tokens for chat completions API calls": 129 for cl100k, 124 for o200k."""
    example = [
        (
            "system",
            None,
            "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
        ),
        ("system", "example_user", "New synergies will help drive top-line growth."),
        ("system", "example_assistant", "Things working well together will increase revenue."),
        (
            "system",
            "example_user",
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        ),
        ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
        ("user", None, "This late pivot means we don't have time to boil the ocean for the client deliverable."),
    ]
    messages = [{"role": r, "content": c} | ({"name": n} if n else {}) for r, n, c in example]
    of = json.dumps({"model": "m", "messages": messages}).encode()
    counted = count_short(needs(of), given_body(of), ["o200k_base", "cl100k_base"])
    assert counted is not None
    assert counted.counts == {"o200k_base": 124, "cl100k_base": 129}


async def test_long_bodies_are_counted_in_a_thread_and_as_much() -> None:
    content = "The quick brown fox. <|endoftext|> " * 5000
    of = body(content)
    assert len(of) > SHORT
    assert count_short(needs(of), given_body(of), ["o200k_base"]) is None
    counted = await count_all(needs(of), given_body(of), ["o200k_base"])
    whole = len(token_counting.load("o200k_base").encode_ordinary(content))
    assert whole < counted.counts["o200k_base"] < whole * 1.2
    assert counted.tokens == counted.counts["o200k_base"]


async def test_the_loop_continues_while_a_long_body_is_counted() -> None:
    of = body("word " * 400_000)
    count_text("o200k_base", "loaded")
    turns = 0
    counting = asyncio.ensure_future(count_all(needs(of), given_body(of), ["o200k_base"]))
    while not counting.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 3


async def test_short_bodies_and_none_wanted_wait_for_nothing() -> None:
    of = body("Hello")
    assert (await count_all(needs(of), given_body(of), ["o200k_base"])).counts == {"o200k_base": 8}
    assert await count_all(needs(of), given_body(of), []) == needs(of)


async def test_without_the_vocabulary_the_bound_stays() -> None:
    of = body("Hello")
    assert await count_all(needs(of), given_body(of), ["no_such"]) == needs(of)
    assert count_text("no_such", "Hello") is None
    assert count_text("", "Hello") is None


async def test_without_the_library_the_bound_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splintr", None)
    monkeypatch.setattr(token_counting, "loaded", {})
    of = body("Hello")
    assert await count_all(needs(of), given_body(of), ["o200k_base"]) == needs(of)
    assert count_text("o200k_base", "Hello") is None


async def test_a_vocabulary_is_loaded_where_nothing_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_counting, "loaded", {})
    of = body("Hello")
    assert count_text("o200k_base", "Hello") is None, "not for the sake of an answer"
    assert count_short(needs(of), given_body(of), ["o200k_base"]) is None
    assert (await count_all(needs(of), given_body(of), ["o200k_base"])).counts == {"o200k_base": 8}
    assert count_short(needs(of), given_body(of), ["o200k_base"]) is not None
    assert count_text("o200k_base", "Hello") == 1


async def test_what_cannot_be_counted_keeps_its_bound() -> None:
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"\\ud800"}]')}
    found = RequestNeeds(CHAT, most=9)
    assert await count_all(found, Body(OPENAI.app, fields), ["o200k_base"]) == found


@given(TEXTS.map(" ".join) | TEXTS.map("".join), some.integers(8, 64))
@settings(max_examples=300)
def test_pieces_never_count_less_than_the_whole(text: str, size: int) -> None:
    tokenizer = token_counting.load("o200k_base")
    text = text.encode(errors="replace").decode()
    whole = len(tokenizer.encode_ordinary(text))
    assert in_pieces(token_counting.counter(tokenizer), size)(text) >= whole
    assert token_counting.released_counter(tokenizer)(text) >= whole


@given(TEXTS.map(" ".join))
@settings(max_examples=200)
def test_bytes_are_a_bound_of_every_count(text: str) -> None:
    of = body(text.encode(errors="replace").decode(), tools=[{"type": "function", "function": {"name": "f"}}])
    found = needs(of)
    for vocabulary in ("o200k_base", "cl100k_base"):
        counted = count_short(found, given_body(of), [vocabulary])
        assert counted is not None
        assert counted.counts[vocabulary] <= found.most


def words_in(text: str) -> int:
    return len(text.split())


@given(some.text(alphabet="ab \n", max_size=300), some.integers(8, 50))
def test_pieces_are_the_text_and_none_is_longer(text: str, size: int) -> None:
    cut = list(pieces(text, size))
    assert "".join(cut) == text
    assert all(len(piece) <= size for piece in cut)
    assert len(cut) <= max(2 * len(text) // size, 1) + 1


def test_a_long_text_is_cut_before_a_space() -> None:
    assert list(pieces("aaaa bbbb cccc", 10)) == ["aaaa bbbb", " cccc"]
    assert list(pieces("a" * 25, 10)) == ["a" * 10, "a" * 10, "a" * 5]
    assert in_pieces(words_in, 10)("aaaa bbbb") == 2
    assert in_pieces(words_in, 10)("aaaa bbbb cccc") == 3 + 2 * PER_CUT
