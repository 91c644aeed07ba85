"""What the client hands out: objects over JSON."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from fake_daemon import completion

from modelmesh._types import ChatCompletion, MeshDetails, Object


@pytest.fixture
def reply():
    body = completion("Hello")
    body["future_field"] = {"inner": [1, {"deep": True}]}
    body["choices"][0]["message"]["reasoning_content"] = "because"
    reply = ChatCompletion.of(body)
    reply.mesh = MeshDetails.of({"pool": "p", "attempts": [{"model": "a", "status": 500}]})
    reply._request_id = "ab"
    return reply


def test_unknown_fields_are_kept_and_known_ones_that_lack_are_none(reply):
    message = reply.choices[0].message
    assert message.reasoning_content == "because"
    assert reply.future_field.inner[1].deep is True
    assert message.tool_calls is message.refusal is message.function_call is message.audio is None
    assert message.annotations is reply.system_fingerprint is reply.choices[0].logprobs is None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = message.nonsense
    assert not hasattr(reply, "nonsense")


def test_nested_objects_are_the_same_every_time_and_may_be_changed(reply):
    assert reply.choices[0] is reply.choices[0]
    reply.choices[0].message.content = "changed"
    assert reply.choices[0].message.content == "changed"
    assert reply.to_dict()["choices"][0]["message"]["content"] == "changed"


def test_dumps(reply):
    sent = completion("Hello")
    untouched = ChatCompletion.of(completion("Hello"))
    assert untouched.to_dict() == sent
    assert json.loads(untouched.to_json()) == sent
    assert json.loads(untouched.model_dump_json(exclude_none=True)) == sent
    assert untouched.model_dump(exclude_unset=True) == sent
    assert untouched.model_dump()["choices"][0]["message"]["tool_calls"] is None
    assert "\n  " in untouched.model_dump_json(indent=2)
    assert "mesh" not in reply.model_dump()


def test_equality_repr_pickle_and_copies(reply):
    assert ChatCompletion.of(completion("a")) == ChatCompletion.of(completion("a"))
    assert ChatCompletion.of(completion("a")) != ChatCompletion.of(completion("b"))
    assert "content='Hello'" in repr(reply)
    for again in (pickle.loads(pickle.dumps(reply)), copy.deepcopy(reply), copy.copy(reply)):
        assert again == reply
        assert (again.mesh.pool, again._request_id) == ("p", "ab")
        assert again.choices[0].message.content == "Hello"


def test_what_the_mesh_did_reads_as_object_and_as_mapping(reply):
    assert reply.mesh.pool == reply.mesh["pool"] == reply.mesh.get("pool") == "p"
    assert reply.mesh.attempts[0].status == 500
    assert reply.mesh.provider is None
    assert dict(reply.mesh)["pool"] == "p"
    assert "cost" not in reply.mesh


def test_an_object_without_a_kind_is_tolerant():
    assert Object.of({"a": [], "b": [[{"c": 1}]]}).b[0][0].c == 1
    assert Object(x=1).x == 1
