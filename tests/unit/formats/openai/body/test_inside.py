"""What may raise a price inside messages, tools and inputs: known, priced, left out or refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.formats.openai.body.known_fields import load_body_fields
from meshd.formats.openai.body.needs import read
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.routing.request.unpriced import unpriced
from meshd.routing.table.specs import ModelSpec, PoolSpec
from meshd.sdk.provider import OperationSpec
from tests.support.formats.bodies import split

PICTURE = "data:image/png;base64,QUJD"
SOUND = {"type": "input_audio", "input_audio": {"data": "QUJD" * 40, "format": "wav"}}
MODEL = ModelSpec("m", "p", "m", (), pricing=Pricing(input_per_1m=1))


def judged(body: dict[str, Any] | bytes, operation: OperationSpec = CHAT) -> RequestNeeds:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(operation, encoded).needs


def saying(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **fields}


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (SOUND, "input_audio"),
        ({"type": "audio_url", "audio_url": {"url": "https://h/a.mp3"}}, "audio_url"),
        ({"type": "video_url", "video_url": {"url": "https://h/a.mp4"}}, "video_url"),
        ({"type": "document_url", "document_url": "https://h/a.pdf"}, "document_url"),
        ({"type": "image_url", "image_url": {"url": "data:audio/mp3;base64,QUJD"}}, "image_url"),
        ({"type": "image_url", "image_url": "data:Video/mp4;base64,QUJD"}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "gs://b/a", "format": "audio/mp3"}}, "image_url"),
        ({"type": ["text"], "text": "a"}, "type"),
        ({"type": "guarded_text", "text": "a"}, "guarded_text"),
    ],
)
def test_a_part_that_costs_more_cannot_be_left_out(part: dict[str, Any], name: str) -> None:
    needs = judged(saying(user([{"type": "text", "text": "a"}, part])))
    assert needs.fixed == (f"messages[].content[].{name}",)
    for pool in (PoolSpec("a", "", ()), PoolSpec("a", "", (), unpriced_fields="strip")):
        assert unpriced(needs, MODEL, pool)[1] == needs.fixed
    assert unpriced(needs, ModelSpec("m", "p", "m", ()), PoolSpec("a", "", ()))[1] == (), "it costs nothing"


@pytest.mark.parametrize(
    "message",
    [
        user("hi"),
        user(None),
        user([{"type": "text", "text": "a", "cache_control": None}]),
        user([{"text": "a"}]),
        user(["a", "b"]),
        user([{"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}}]),
        user([{"type": "image_url", "image_url": "https://h/p.png"}]),
        {"role": "assistant", "content": None, "audio": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "a"},
        {"role": "assistant", "reasoning_content": "a", "content": "b", "annotations": [], "refusal": None},
    ],
)
def test_what_clients_send_every_day_passes(message: dict[str, Any]) -> None:
    needs = judged(saying(message))
    assert (needs.costly, needs.unknown, needs.fixed, needs.files, needs.caches) == ((), (), (), False, "")


def test_an_earlier_answers_sound_is_billed_again() -> None:
    needs = judged(saying({"role": "assistant", "audio": {"id": "a1"}, "frobnicate": 1}))
    assert needs.unknown == ("messages[].audio", "messages[].frobnicate")


def test_an_image_of_more_pixels_than_an_image_has_else_is_more_tokens() -> None:
    part = {"type": "image_url", "image_url": {"url": PICTURE}, "max_pixels": 16_777_216}
    assert judged(saying(user([part]))).unknown == ("messages[].content[].max_pixels",)


def test_a_name_that_belongs_to_another_kind_of_part_is_unknown() -> None:
    twice = b'{"model":"m","messages":[{"content":[{"type":"input_audio","type":"text","text":"a","input_audio":{}}]}]}'
    assert judged(twice).unknown == ("messages[].content[].input_audio",)


@pytest.mark.parametrize("file", [{"file_id": "f"}, {"file_data": "data:application/pdf;base64,QUJD"}])
def test_files_cost_more_where_their_pages_are_read_by_the_page(file: dict[str, Any]) -> None:
    needs = judged(saying(user([{"type": "file", "file": file}])))
    assert unpriced(needs, MODEL, PoolSpec("a", "", ())) == ((), ())
    router = ModelSpec("m", "p", "m", (), files_cost_more=True)
    assert unpriced(needs, router, PoolSpec("a", "", ()))[1] == ("messages[].content[].file",)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "web_search_preview"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"type": "FUNCTION", "function": {"name": "f"}},
        {"type": ["function"]},
        {"googleSearch": {}},
        {"type": "function", "function": {"name": "f"}, "web_search": {"enable": True}},
        "web_search",
    ],
)
def test_a_tool_that_the_provider_runs(tool: Any) -> None:
    own = {"type": "function", "function": {"name": "f", "parameters": {}}}
    needs = judged(saying(user("a"), tools=[own, tool]))
    assert needs.costly == ("tools",)
    fields = split(json.dumps(saying(user("a"), tools=[own, tool])).encode())
    assert json.loads(bytes(load_body_fields().priced(needs, fields)["tools"])) == [own]
    alone = split(json.dumps(saying(user("a"), tools=[tool], tool_choice="required")).encode())
    assert not {"tools", "tool_choice"} & load_body_fields().priced(needs, alone).keys()


def test_tools_that_are_not_a_list_are_not_the_apps() -> None:
    assert judged(saying(user("a"), tools={"type": "web_search"})).costly == ("tools",)
    assert judged(saying(user("a"), tools=None)).costly == ()


@pytest.mark.parametrize(
    ("body", "caches"),
    [
        (saying(user([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}])), "short"),
        (saying(user([{"type": "text", "text": "a", "cache_control": {"ttl": "5m"}}])), "short"),
        (saying(user([{"type": "text", "text": "a", "cache_control": {"ttl": "1h"}}])), "lasting"),
        (saying(user("a", cache_control={"ttl": 3600})), "lasting"),
        (saying(user("a"), tools=[{"type": "function", "function": {"name": "f"}, "cache_control": {}}]), "short"),
        (saying(user("a"), tools=[{"type": "function", "function": {"cache_control": {"ttl": "1h"}}}]), "lasting"),
        (saying(user("a"), cache_control={"type": "ephemeral"}), "short"),
        (saying(user("a"), prompt_cache_options={"ttl": "30m"}), "lasting"),
        (saying(user([{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}])), "short"),
        (saying(user("set cache_control please")), ""),
        (saying(user("a", cache_control=None)), ""),
    ],
)
def test_what_is_written_to_a_cache_is_seen(body: dict[str, Any], caches: str) -> None:
    assert judged(body).caches == caches
    escaped = json.dumps(body).replace("cache_control", "cache\\u005fcontrol").replace("prompt_c", "\\u0070rompt_c")
    assert judged(escaped.encode()).caches == caches
    assert judged(body).costly == judged(body).unknown == judged(body).fixed == ()


@pytest.mark.parametrize(
    ("operation", "body", "fixed"),
    [
        (EMBEDDINGS, {"input": "a {b}"}, ()),
        (EMBEDDINGS, {"input": ["a", "{b}"]}, ()),
        (EMBEDDINGS, {"input": [[1, 2], [3]]}, ()),
        (EMBEDDINGS, {"input": [{"image": "https://h/p.png"}]}, ("input[]",)),
        (EMBEDDINGS, {"input": {"image": "https://h/p.png"}}, ("input[]",)),
        (EMBEDDINGS, {"input": [[{"image": "a"}]]}, ("input[]",)),
        (COMPLETION, {"prompt": [{"image": "a"}]}, ("prompt[]",)),
        (COMPLETION, {"prompt": ["a", [1]]}, ()),
    ],
)
def test_only_text_and_tokens_are_embedded_at_a_known_price(operation: OperationSpec, body: Any, fixed: Any) -> None:
    assert judged({"model": "m", **body}, operation).fixed == fixed


def test_all_of_many_unknown_fields_are_left_out() -> None:
    body = saying(user("a"), **{f"odd{number}": 1 for number in range(50)})
    sent = load_body_fields().priced(judged(body), split(json.dumps(body).encode()))
    assert sent.keys() == {"model", "messages"}


def test_the_last_of_two_fields_counts_and_is_what_is_sent() -> None:
    body = b'{"model":"m","messages":[],"service_tier":"auto","service\\u005ftier":"priority"}'
    fields = split(body)
    assert judged(body).costly == ("service_tier",)
    assert bytes(fields["service_tier"]) == b'"priority"'
    assert "service_tier" not in load_body_fields().priced(judged(body), fields)


# -- whatever the body ----------------------------------------------------------------------------------

NAMES = some.sampled_from([*load_body_fields().rules, "frobnicate", "Service_Tier", "options"])
INNER = some.sampled_from(["role", "content", "audio", "cache_control", "name", "frobnicate", "type", "text", "file",
                           "input_audio", "image_url", "video_url", "thinking"])  # fmt: skip
KINDS = some.sampled_from(["text", "input_audio", "image_url", "file", "video_url", "odd", "", "thinking"])
VALUES = some.none() | some.booleans() | some.integers(0, 3) | some.sampled_from(["a", "priority", "text", PICTURE])
PARTS = some.dictionaries(INNER, VALUES | some.dictionaries(INNER, VALUES), max_size=3)
MESSAGES = some.dictionaries(
    INNER, VALUES | some.lists(PARTS | some.builds(lambda k, p: {**p, "type": k}, KINDS, PARTS))
)
TOOLS = some.lists(
    some.dictionaries(some.sampled_from(["type", "function", "name", "googleSearch"]), VALUES), max_size=3
)
READ = {"model", "stream", "tools", "functions", "response_format", "max_tokens", "max_completion_tokens", "logprobs",
        "n", "best_of", "messages", "prompt", "input"}  # fmt: skip


@given(some.lists(MESSAGES, max_size=3), TOOLS, some.dictionaries(NAMES.filter(lambda name: name not in READ), VALUES))
def test_what_is_sent_under_a_budget_is_known_or_priced(messages: Any, tools: Any, fields: dict[str, Any]) -> None:
    """Stripped, a body has nothing left that is unknown; and what cannot be stripped is told."""
    rules = load_body_fields()
    body = saying(*messages, tools=tools, **fields)
    needs = judged(body)
    sent = rules.priced(needs, split(json.dumps(body).encode()))
    again = judged(msgspec.json.encode(sent))
    assert (again.costly, again.unknown) == ((), ())
    assert again.fixed == needs.fixed
    assert again.caches == needs.caches or needs.costly or needs.unknown, "what was left out had marks"
    for name, raw in sent.items():
        value, rule = json.loads(bytes(raw)), rules.rules.get(name)
        assert value is None or rule is not None
        assert value is None or rule.does in ("pass", "priced", "writes_cache") or value in rule.harmless
    if not needs.fixed:
        for message in json.loads(bytes(sent["messages"])):
            assert not {"audio", "frobnicate"} & {name for name, value in message.items() if value is not None}
            for part in message["content"] if isinstance(message.get("content"), list) else ():
                assert part.get("type", "text") in rules.inside.parts
                assert part.get("input_audio") is part.get("video_url") is None
