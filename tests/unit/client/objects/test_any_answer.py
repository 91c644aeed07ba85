"""Answers of any shape that providers give, read here as the OpenAI SDK reads them."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.chat import ChatCompletion as SdkChatCompletion
from openai.types.chat import ChatCompletionChunk as SdkChatCompletionChunk

from modelmesh.types import ChatCompletion, ChatCompletionChunk

TEXT = st.text(alphabet="ab é🎈", max_size=4)
EXTRA = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "items", "id"]), inner, max_size=2)
    ),
    max_leaves=5,
)
EXTRAS = st.dictionaries(st.sampled_from(["reasoning", "images", "provider_note", "cost"]), EXTRA, max_size=2)
MAYBE = st.none() | TEXT


def some(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(known, EXTRAS).map(lambda parts: {**parts[1], **parts[0]})


def listed(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A field that is a list, and what some providers give in its place."""
    return st.none() | st.lists(of, max_size=2) | st.just({})


COUNT = st.none() | st.integers(0, 9)
DETAILS = st.none() | some({}, {"audio_tokens": COUNT, "cached_tokens": COUNT, "reasoning_tokens": COUNT})
USAGE = some(
    {"prompt_tokens": st.integers(0, 9), "completion_tokens": st.integers(0, 9), "total_tokens": st.integers(0, 9)},
    {"prompt_tokens_details": DETAILS, "completion_tokens_details": DETAILS},
)
FUNCTION = some({"name": TEXT, "arguments": TEXT}, {})
CALL = some({"id": TEXT, "type": st.just("function"), "function": FUNCTION}, {})
CALL_DELTA = some({"index": st.integers(0, 2)}, {"id": MAYBE, "type": st.just("function"), "function": FUNCTION})
TOKEN = some({"token": TEXT, "logprob": st.just(-0.5), "top_logprobs": st.just([])}, {"bytes": st.just([1])})
LOGPROBS = st.none() | some({}, {"content": st.none() | st.lists(TOKEN, max_size=2), "refusal": st.none()})
PLACE = some({"url": TEXT, "title": TEXT, "start_index": st.just(0), "end_index": st.just(1)}, {})
CITED = some({"type": st.just("url_citation"), "url_citation": PLACE}, {})
MESSAGE = some(
    {"role": st.just("assistant")},
    {
        "content": MAYBE,
        "refusal": MAYBE,
        "tool_calls": listed(CALL),
        "annotations": listed(CITED),
        "function_call": st.none() | FUNCTION,
    },
)
DELTA = some({}, {"role": MAYBE, "content": MAYBE, "refusal": MAYBE, "tool_calls": listed(CALL_DELTA)})
FINISH = st.sampled_from(["stop", "length", "tool_calls"])
CHOICE = some({"index": st.integers(0, 2), "finish_reason": FINISH, "message": MESSAGE}, {"logprobs": LOGPROBS})
CHUNK_CHOICE = some(
    {"index": st.integers(0, 2), "delta": DELTA}, {"finish_reason": st.none() | FINISH, "logprobs": LOGPROBS}
)
TAIL = {"usage": st.none() | USAGE, "system_fingerprint": MAYBE, "service_tier": st.none() | st.just("default")}
HEAD = {"id": TEXT, "created": st.integers(0, 9), "model": TEXT}
COMPLETION = some({**HEAD, "object": st.just("chat.completion"), "choices": st.lists(CHOICE, max_size=2)}, TAIL)
CHUNK = some({**HEAD, "object": st.just("chat.completion.chunk"), "choices": st.lists(CHUNK_CHOICE, max_size=2)}, TAIL)
ANSWERS = st.tuples(st.just((ChatCompletion, SdkChatCompletion)), COMPLETION) | st.tuples(
    st.just((ChatCompletionChunk, SdkChatCompletionChunk)), CHUNK
)
OPTIONS = st.fixed_dictionaries(
    {}, optional={name: st.booleans() for name in ("exclude_unset", "exclude_none", "exclude_defaults")}
)


def plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@settings(max_examples=100, deadline=None)
@given(ANSWERS, OPTIONS, st.booleans())
def test_an_answer_reads_and_dumps_as_with_the_sdk(answer: Any, options: dict[str, bool], first_read: bool) -> None:
    (kind, sdk_kind), body = answer
    ours, theirs = kind.of(copy.deepcopy(body)), construct_type(value=copy.deepcopy(body), type_=sdk_kind)
    if first_read:
        plain(dict(ours))
    assert ours.model_dump(**options) == theirs.model_dump(**options)
    assert ours.to_dict(**options) == theirs.to_dict(**options)
    assert json.loads(ours.model_dump_json(**options)) == json.loads(theirs.model_dump_json(**options))
    assert plain(dict(ours)) == plain(dict(theirs))
    assert (ours.model_extra, ours.model_fields_set) == (theirs.model_extra, theirs.model_fields_set)
    for mine, other in zip(ours.choices, theirs.choices, strict=True):
        assert mine.model_extra == other.model_extra
        assert mine.model_fields_set == other.model_fields_set
    for again in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), ours.model_copy(deep=True)):
        assert again == ours
        assert again.model_dump(**options) == theirs.model_dump(**options)
    assert kind.model_validate(ours.model_dump(**options)) == kind.of(theirs.model_dump(**options))
