"""The quick reading of chunks says exactly what the careful one says, of whatever chunk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import NotAnAnswer, NotAnEvent
from meshd.formats.openai import bare, wire
from meshd.sdk.reading.message_content import is_thinking

EMPTY = st.sampled_from([None, "", [], {}, 0, False])
ANY = EMPTY | st.sampled_from(["x", "error", "stop", "null", 1, -1, 1.5, True, [1], [None], {"a": 1}, {"error": "x"}])
ODD = st.sampled_from(
    ["error", "error_code", "base_resp", "type", "status", "thinking_text", "thought", "code", "detail", "msg", "foo"]
)


def named(struct: Any, likely: Any = EMPTY) -> st.SearchStrategy[dict[str, Any]]:
    """A map of its names, sometimes with another."""
    names = st.sampled_from(struct.__struct_fields__)
    listed = st.dictionaries(names, st.one_of(likely, likely, likely, ANY), max_size=4)
    odd = st.one_of(st.just({}), st.just({}), st.dictionaries(ODD, ANY, max_size=1))
    return st.builds(lambda a, b: a | b, listed, odd)


FINISH = st.sampled_from(
    [None, "stop", "length", "", "null", "None", "error", "content_filter", {"type": "stop"}, "eos"]
)
INDEX = st.sampled_from([0, 0, 1, "0", None, 0.0])
USAGE = st.sampled_from(
    [None, {}, {"prompt_tokens": 3, "completion_tokens": 4}, {"prompt_tokens": None}, {"total_tokens": "x"}, [], "x"]
)
OBJECT = st.sampled_from(["chat.completion.chunk", "chat.completion.chunk", None, "", "error", "ping", 3])


@st.composite
def chunks(draw: st.DrawFn) -> dict[str, Any]:
    choices = []
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        choice = draw(named(bare.Choice))
        choice["delta"] = draw(named(bare.Delta) | ANY)
        choice["finish_reason"] = draw(FINISH)
        choice["index"] = draw(INDEX)
        choices.append(choice)
    chunk = draw(named(bare.Chunk)) | {"usage": draw(USAGE), "object": draw(OBJECT)}
    chunk["choices"] = draw(st.sampled_from([choices, choices, choices, choices, None]))
    for name in draw(st.lists(st.sampled_from(sorted(chunk)), max_size=2)):
        chunk.pop(name, None)
    return chunk


def outcome(read: Any) -> Any:
    try:
        event, chunk = read()
    except (NotAnAnswer, NotAnEvent) as raised:
        return type(raised), getattr(raised, "error", None), getattr(raised, "doubtful", None)
    choices = [(choice.index, choice.finish_reason or None, choice.says) for choice in chunk.choices or ()]
    return event, choices


@given(chunks(), st.booleans())
@settings(deadline=None, max_examples=400)
def test_both_readings_say_the_same(chunk, hide):
    data = json.dumps(chunk, separators=(",", ":")).encode()
    quick = outcome(lambda: wire.read_event(data, hide_usage=hide))
    assert quick == outcome(lambda: wire.read_oddly(data, hide, completion=False, usual=False))


def test_no_listed_name_is_one_that_says_something():
    for struct in (bare.Chunk, bare.Choice, bare.Delta):
        for field in struct.__struct_fields__:
            if field not in ("object", "text", "error", "reasoning_content", "reasoning", "reasoning_details",
                             "thinking", "thinking_blocks"):  # fmt: skip
                assert not is_thinking(field)
                assert field not in (
                    *error_answers.FLAGS,
                    *error_answers.KINDS,
                    *error_answers.CODES,
                    *error_answers.WORDS,
                )


PLAIN = {
    "openai's role": {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None},
                                   "logprobs": None, "finish_reason": None}], "obfuscation": "ab"},
    "openai's end": {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]},
    "openai's usage": {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
    "vllm's end": {"choices": [{"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": "stop",
                                "stop_reason": None, "token_ids": None}]},
    "llama.cpp's end": {"choices": [{"finish_reason": "stop", "index": 0, "delta": {}}], "timings": {"prompt_n": 1}},
    "groq's end": {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                   "x_groq": {"id": "r", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}},
    "openrouter's end": {"provider": "X", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""},
                                    "finish_reason": "stop", "native_finish_reason": "STOP", "logprobs": None}]},
}  # fmt: skip


@pytest.mark.parametrize("chunk", PLAIN.values(), ids=list(PLAIN))
def test_the_usual_chunks_are_read_quickly(chunk, monkeypatch):
    """What the careful reading costs is paid for odd chunks only."""
    monkeypatch.setattr(wire, "read_oddly", lambda *_: pytest.fail("read with care"))
    usual = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    wire.read_event(json.dumps(usual | {"system_fingerprint": None} | chunk).encode(), hide_usage=False)
