"""Counting: which text of a body is counted, and what is added to it. A word here is a token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.prices import Pricing
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.routing.request.needs import MalformedBody
from meshd.routing.request.tokens import PER_CALLS, PER_CUT, PER_FORMAT, PER_TOOL, PER_TOOLS, count, in_pieces, pieces
from meshd.routing.request.tokens import vocabularies_wanted as wanted
from meshd.routing.table.specs import Allowance, AppSpec, PoolSpec, ProviderSpec, RateSpec, RoutingTable
from meshd.sdk.provider import OperationSpec
from tests.support.routing.routing_builders import model, table

HELLO = {"role": "user", "content": "Hello there"}


def words(text: str) -> int:
    return len(text.split())


def chat(*messages: Any, **body: Any) -> int:
    return count(CHAT, json.dumps({"model": "m", "messages": list(messages)} | body).encode(), words)


def asked(operation: OperationSpec, **body: Any) -> int:
    return count(operation, json.dumps({"model": "m"} | body).encode(), words)


def test_a_message_is_its_text_its_role_and_three() -> None:
    assert chat() == 3
    assert chat(HELLO) == 3 + 3 + 1 + 2
    assert chat(HELLO, HELLO) == 3 + 2 * (3 + 1 + 2)
    assert chat(HELLO | {"name": "Eve"}) == chat(HELLO) + 2
    assert chat(HELLO | {"name": None}) == chat(HELLO)


def test_text_parts_are_text_and_images_sound_and_files_are_not() -> None:
    text = {"type": "text", "text": "one two three"}
    for kind in ("image_url", "input_image", "input_audio", "file", "video_url"):
        assert chat({"role": "user", "content": [text, {"type": kind, kind: "a b c d"}]}) == 3 + 3 + 1 + 3
    assert chat({"role": "assistant", "content": [{"type": "refusal", "refusal": "not this"}]}) == 3 + 3 + 1 + 2


@pytest.mark.parametrize("content", [[{"type": "new", "x": "a b"}], ["a b c"], {"x": "a b c"}, 5, [{"type": "text"}]])
def test_what_is_not_known_is_counted_as_its_json(content: Any) -> None:
    assert chat({"role": "user", "content": content}) > 3 + 3 + 1


@pytest.mark.parametrize("kind", [None, 1, ["text"], {"a": 1}])
def test_a_part_of_an_odd_type_is_counted_too(kind: Any) -> None:
    assert chat({"role": "user", "content": [{"type": kind, "text": "a b c"}]}) >= 3


def test_tool_calls_are_counted_as_their_json() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    with_call = chat({"role": "assistant", "content": None, "tool_calls": [call]})
    assert with_call == 3 + 3 + 1 + PER_CALLS + 2
    assert chat({"role": "tool", "tool_call_id": "1", "content": "two words"}) == 3 + 3 + 1 + 2 + 2
    assert chat({"role": "assistant", "audio": {"id": "audio 1"}}) == 3 + 3 + 1 + 1


def test_tools_and_schemas_are_counted_as_their_json() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "of many words"}}
    assert chat(tools=[tool, tool]) == 3 + PER_TOOLS + 2 * PER_TOOL + 5
    assert chat(functions={"name": "f"}) == 3 + PER_TOOLS + PER_TOOL + 1
    assert chat(tools=[], functions=None, response_format=None, tool_choice="auto") == 3
    assert chat(response_format={"type": "json_schema", "json_schema": {"description": "a b"}}) == 3 + PER_FORMAT + 2


def test_messages_of_another_shape_are_counted_too() -> None:
    assert count(CHAT, b'{"messages":"a b c"}', words) == 3 + 3
    assert chat("a b c", 5) == 3 + 2 * 3 + 3 + 1
    assert count(CHAT, b"{}", words) == 3


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("a b c", 3), (["a b", "c"], 3), ([1, 2, 3, 4], 4), ([[1, 2], [3]], 3), (None, 0), ([], 0), ({"a": "b c"}, 2)],
)
def test_prompts_and_inputs_are_texts_or_tokens(given: Any, tokens: int) -> None:
    assert asked(EMBEDDINGS, input=given) == tokens
    assert asked(COMPLETION, prompt=given) == tokens
    assert asked(COMPLETION, prompt=given, suffix="d e") == tokens + 2
    assert asked(COMPLETION) == 0


def test_a_body_that_is_no_object_is_malformed() -> None:
    with pytest.raises(MalformedBody):
        count(CHAT, b"[]", words)
    with pytest.raises(MalformedBody):
        count(CHAT, b'{"messages":[{"content":"\\ud800"}]}', words)


# -- long texts ---------------------------------------------------------------------------------------


@given(some.text(alphabet="ab \n", max_size=300), some.integers(8, 50))
def test_pieces_are_the_text_and_none_is_longer(text: str, size: int) -> None:
    cut = list(pieces(text, size))
    assert "".join(cut) == text
    assert all(len(piece) <= size for piece in cut)
    assert len(cut) <= max(2 * len(text) // size, 1) + 1


def test_a_long_text_is_cut_before_a_space() -> None:
    assert list(pieces("aaaa bbbb cccc", 10)) == ["aaaa bbbb", " cccc"]
    assert list(pieces("a" * 25, 10)) == ["a" * 10, "a" * 10, "a" * 5]
    assert in_pieces(words, 10)("aaaa bbbb") == 2
    assert in_pieces(words, 10)("aaaa bbbb cccc") == 3 + 2 * PER_CUT


# -- which to count with ------------------------------------------------------------------------------

PRICED = Pricing(output_per_1m=1)
POOL = PoolSpec("chat", "", ("p.a", "q.b", "gone"))


def mesh(*allowances: Allowance, **spec: Any) -> RoutingTable:
    members = [model("p.a", vocabulary="o200k_base", **spec), model("q.b", vocabulary="", pricing=PRICED)]
    made = table(members, [POOL])
    return RoutingTable(made.tree, members, made.providers.values(), [POOL], (), allowances)


def test_what_costs_nothing_and_has_no_limit_is_not_counted() -> None:
    assert wanted(mesh(), POOL) == frozenset()


@pytest.mark.parametrize("pricing", [PRICED, Pricing(input_per_1m=1)])
def test_what_costs_is_counted_where_it_has_a_vocabulary(pricing: Pricing) -> None:
    assert wanted(mesh(pricing=pricing), POOL) == {"o200k_base"}
    assert wanted(mesh(pricing=Pricing(per_request=1)), POOL) == frozenset()


@pytest.mark.parametrize(
    ("scope", "name", "counts"),
    [
        ("app", "eve", True),
        ("app", "adam", False),
        ("pool", "chat", True),
        ("pool", "other", False),
        ("model", "p.a", True),
        ("provider", "p", True),
        ("provider", "q", False),
        ("member", "chat\x00p.a", True),
        ("member", "other\x00p.a", False),
    ],
)
def test_a_limit_on_tokens_has_them_counted(scope: str, name: str, counts: bool) -> None:
    eve = AppSpec("eve")
    assert bool(wanted(mesh(Allowance(scope, name, "tokens", "day", 9)), POOL, eve)) is counts
    assert not wanted(mesh(Allowance(scope, name, "requests", "day", 9)), POOL, eve)


def test_a_rate_of_tokens_has_them_counted() -> None:
    assert wanted(mesh(), POOL, AppSpec("eve", rate=RateSpec(tpm=9))) == {"o200k_base"}
    limited = mesh()
    limited.providers["p"] = ProviderSpec("p", "c", rate=RateSpec(tpm=9))
    assert wanted(limited, POOL) == {"o200k_base"}
