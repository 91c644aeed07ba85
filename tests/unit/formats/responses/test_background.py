"""Responses in the background, and how a response names the one that it follows."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from openai.types.responses import Response

from meshd.formats.responses import stored as kept
from modelmesh.errors import InvalidRequestError, RateLimitError
from tests.support.formats import responses_api


def fields(**given: Any) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(given).encode(), type=dict[str, msgspec.Raw])


ASKED = fields(model="m", input="Hi", background=True, tools=[{"type": "custom", "name": "t"}], metadata={"a": "b"})


def test_a_queued_response_is_one_for_the_package() -> None:
    queued = kept.queued(ASKED, "resp_0")
    response = Response.model_validate_json(queued.response, strict=False)
    assert (response.id, response.status, response.background) == (queued.id, "queued", True)
    assert (response.model, response.metadata, response.previous_response_id) == ("m", {"a": "b"}, "resp_0")
    assert kept.is_open(queued.response)
    assert kept.is_open(kept.begun(queued.response))
    assert kept.is_of_background(queued.response)
    assert json.loads(kept.in_foreground(ASKED)) == {
        name: value for name, value in json.loads(msgspec.json.encode(ASKED)).items() if name != "background"
    }


@given(responses_api.responses())
def test_its_answer_takes_its_id(response: dict[str, Any]) -> None:
    queued = kept.queued(ASKED, "resp_0")
    made = json.loads(kept.finished(queued.response, json.dumps(response).encode()))
    assert (made["id"], made["background"], made["previous_response_id"]) == (queued.id, True, "resp_0")
    assert made["output"] == response["output"]
    assert made["status"] == response["status"]


def test_one_that_failed_or_was_cancelled() -> None:
    queued = kept.queued(ASKED, "").response
    failed = json.loads(kept.failed(queued, RateLimitError("slow down")))
    assert (failed["status"], failed["error"]) == ("failed", {"code": "rate_limit_exceeded", "message": "slow down"})
    cancelled = kept.cancelled(queued)
    assert json.loads(cancelled)["status"] == "cancelled"
    assert not kept.is_open(cancelled)
    assert kept.cancelled(cancelled) == cancelled


@pytest.mark.parametrize("given", [{}, {"background": False}, {"background": None}])
def test_the_foreground(given: Any) -> None:
    assert not kept.in_background(fields(**given, store=False, stream=True))


def test_what_is_not_possible() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        kept.in_background(fields(background=True, store=False))
    assert caught.value.param == "background"


@given(responses_api.responses())
def test_events_of_an_answer_are_those_of_the_queued_response(response: dict[str, Any]) -> None:
    queued = kept.queued(ASKED, "resp_0")
    made = [json.loads(event) for event in kept.first_events(queued.response)]
    for event in responses_api.streamed(response):
        data = json.dumps(event).encode()
        passed = kept.event_of(queued.response, data, len(made))
        assert bool(passed) == (event["type"] != "response.created")
        if passed:
            made.append(json.loads(passed))
            assert made[-1]["type"] == event["type"]
    assert [event["sequence_number"] for event in made] == list(range(len(made)))
    assert {event["response"]["id"] for event in made if "response" in event} == {queued.id}
    last = json.loads(kept.last_event(kept.cancelled(queued.response), 7))
    assert (last["type"], last["sequence_number"], last["response"]["id"]) == ("response.cancelled", 7, queued.id)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"nonsense", b'{"type":"response.x","response":3}'])
def test_what_is_no_event_is_not_passed_on(data: bytes) -> None:
    assert kept.event_of(kept.queued(ASKED, "").response, data, 2) == b""


@given(responses_api.responses())
def test_every_event_with_a_response_names_the_one_before(response: dict[str, Any]) -> None:
    for event in responses_api.streamed(response):
        data = json.dumps(event).encode()
        made = json.loads(kept.follows(data, "resp_0"))
        if "response" in event:
            assert made["response"].pop("previous_response_id") == "resp_0"
            event["response"].pop("previous_response_id", None)
        assert made == event
    whole = json.loads(kept.follows(json.dumps({**response, "object": "response"}).encode(), "resp_0"))
    assert whole["previous_response_id"] == "resp_0"


@given(responses_api.responses())
def test_a_stream_is_kept_as_its_response(response: dict[str, Any]) -> None:
    assembly, last = kept.assembling(), []
    for event in responses_api.streamed(response):
        data = json.dumps(event).encode()
        assembly.add(data)
        last.append(kept.is_last(data))
    assert last == [False] * (len(last) - 1) + [True]
    made = json.loads(assembly.answer())
    assert (made["id"], made["output"]) == (response["id"], response["output"])


@pytest.mark.parametrize("data", [b"", b"{", b'"response"', b'{"response": 1}', b'{"response": {"a": }}', b"[DONE]"])
def test_anything_else_is_unchanged(data: bytes) -> None:
    assert kept.follows(data, "resp_0") == data
    assert not kept.is_last(data)
