"""What is kept of a response, and what a request that follows it sends."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseItem
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import TypeAdapter

from meshd.formats.keeping import Stored
from meshd.formats.responses import stored as kept
from meshd.formats.responses.conversation.request import read_request
from modelmesh.errors import InvalidRequestError
from tests.support.formats import openai_chats, responses_api

item_adapter: TypeAdapter[Any] = TypeAdapter(ResponseItem)


def fields(**given: Any) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(given).encode(), type=dict[str, msgspec.Raw])


def body(given: dict[str, msgspec.Raw]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(msgspec.json.encode(given))
    return document


def response(id: str, *texts: str) -> bytes:
    output = [
        {"type": "message", "id": f"msg_{id}_{n}", "role": "assistant", "content": [{"type": "output_text", "text": t}]}
        for n, t in enumerate(texts)
    ]
    return json.dumps({"id": id, "object": "response", "status": "completed", "output": output}).encode()


def store(given: dict[str, msgspec.Raw], answer: bytes, previous: str = "") -> Stored:
    made = kept.stored(given, answer, previous)
    assert made is not None
    return made


def test_a_response_is_kept_unless_the_app_says_otherwise() -> None:
    assert kept.is_stored(fields())
    assert kept.is_stored(fields(store=None))
    assert kept.is_stored(fields(store=True))
    assert not kept.is_stored(fields(store=False))


def test_a_request_that_follows_has_the_whole_conversation() -> None:
    first = store(fields(model="m", instructions="Be brief.", input="One?"), response("resp_1", "Yes."))
    asked = fields(model="m", input=[{"role": "user", "content": "Two?"}], previous_response_id="resp_1")
    assert kept.previous_id(asked) == "resp_1"
    second = kept.follow_up(asked, first)
    sent = body(second)
    assert "previous_response_id" not in sent
    assert "instructions" not in sent  # those of the first request are not carried over
    assert [item["role"] for item in sent["input"]] == ["user", "assistant", "user"]
    third = kept.follow_up(
        fields(model="m", input="Three?", previous_response_id="resp_2"),
        store(second, response("resp_2", "Yes, too."), "resp_1"),
    )
    turns = read_request(msgspec.json.encode(third)).turns
    assert ["".join(part.text for part in turn.parts if hasattr(part, "text")) for turn in turns] == [
        "One?",
        "Yes.",
        "Two?",
        "Yes, too.",
        "Three?",
    ]


@given(responses_api.requests(), responses_api.responses())
def test_items_keep_their_bytes(request: dict[str, Any], answer: dict[str, Any]) -> None:
    given = msgspec.json.decode(msgspec.json.encode(request), type=dict[str, msgspec.Raw])
    made = store(given, msgspec.json.encode(answer))
    sent = kept.follow_up(fields(model="m", input=[]), made)
    items = msgspec.json.decode(sent["input"], type=list[msgspec.Raw])
    assert items == [*kept.input_of(given), *kept.output_of(msgspec.json.encode(answer))]


def test_the_stored_response_names_the_one_before() -> None:
    made = store(fields(input="?"), response("resp_2", "Yes."), "resp_1")
    assert json.loads(made.response)["previous_response_id"] == "resp_1"
    assert kept.stored(fields(input="?"), b"{}") is None
    assert kept.stored(fields(input="?"), b"<html>") is None


def test_references_to_what_is_kept_are_resolved() -> None:
    first = store(fields(input="One?"), response("resp_1", "Yes."))
    for reference in ({"type": "item_reference", "id": "msg_resp_1_0"}, {"id": "msg_resp_1_0"}):
        sent = body(kept.follow_up(fields(input=[reference]), first))
        assert sent["input"][-1] == sent["input"][-2]
    unknown = {"type": "item_reference", "id": "msg_x"}
    assert body(kept.follow_up(fields(input=[unknown]), first))["input"][-1] == unknown


def test_input_is_listed_by_pages() -> None:
    asked = [{"role": "user", "content": f"{n}"} for n in range(5)]
    made = store(fields(input=[*asked, {"type": "function_call_output", "call_id": "a", "output": "1"}]), response("r"))
    whole = json.loads(kept.input_items(made, order="asc"))
    for item in whole["data"]:
        item_adapter.validate_python(item)
    ids = [item["id"] for item in whole["data"]]
    assert len(set(ids)) == 6
    assert [item["content"][0]["text"] for item in whole["data"][:5]] == list("01234")
    seen: list[str] = []
    after = ""
    while True:
        page = json.loads(kept.input_items(made, limit=4, after=after))
        ResponseItemList.model_validate(page)
        seen += [item["id"] for item in page["data"]]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"order": "x"}, "order"), ({"after": "x"}, "after")],
)
def test_a_page_that_does_not_exist_is_refused(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        kept.input_items(store(fields(input="?"), response("r")), **asked)
    assert caught.value.param == param


def test_only_what_still_runs_is_cancelled() -> None:
    assert json.loads(kept.cancelled(b'{"id":"r","status":"in_progress"}'))["status"] == "cancelled"
    done = response("r", "Yes.")
    assert kept.cancelled(done) is done
    assert json.loads(kept.deleted("r")) == {"id": "r", "object": "response", "deleted": True}
    assert json.loads(kept.input_tokens(5)) == {"object": "response.input_tokens", "input_tokens": 5}


@given(
    st.dictionaries(st.sampled_from(["input", "previous_response_id", "store"]), openai_chats.values),
    openai_chats.values,
)
def test_odd_values_are_refused_or_kept(given: dict[str, Any], answer: Any) -> None:
    raw = fields(**given)
    with contextlib.suppress(InvalidRequestError):
        kept.previous_id(raw)
        made = kept.stored(raw, json.dumps(answer).encode())
        kept.follow_up(raw, made or kept.Stored("r", b"[]", json.dumps(answer).encode()))
        kept.input_items(made or kept.Stored("r", b"[1]", b""))


def test_a_conversation_has_one_name() -> None:
    """As long as the app gives it no other."""
    first = store(fields(model="m", input="One?"), response("resp_1", "Yes."))
    second = kept.follow_up(fields(model="m", input="Two?", previous_response_id="resp_1"), first)
    assert body(second)["prompt_cache_key"] == "resp_1"
    after = store(second, response("resp_2", "No."))
    third = kept.follow_up(fields(model="m", input="Three?", previous_response_id="resp_2"), after)
    assert body(third)["prompt_cache_key"] == "resp_1"
    own = fields(model="m", input="Three?", previous_response_id="resp_2", prompt_cache_key="mine")
    assert body(kept.follow_up(own, after))["prompt_cache_key"] == "mine"
    long = store(fields(model="m", input="One?"), response("resp_" + "x" * 100, "Yes."))
    assert "prompt_cache_key" not in kept.follow_up(fields(model="m", input="Two?"), long)


def test_encrypted_reasoning_goes_with_the_conversation() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA=="}
    answer = json.dumps({"id": "resp_1", "object": "response", "status": "completed", "output": [thought]}).encode()
    first = store(fields(model="m", input="One?"), answer)
    assert body(kept.follow_up(fields(model="m", input="Two?"), first))["input"][1] == thought
