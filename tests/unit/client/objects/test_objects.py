"""What the client hands out: objects over JSON."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from modelmesh import types
from modelmesh.types import ChatCompletion, MeshDetails, Object
from tests.support.client.fake_daemon import completion


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


def test_what_a_provider_adds_is_plain_json_and_has_attributes(reply):
    added = reply.future_field
    assert isinstance(added, dict)
    assert added["inner"][1]["deep"] is added.inner[1].deep is True
    assert json.loads(json.dumps(reply.model_extra)) == {"future_field": {"inner": [1, {"deep": True}]}}
    added.inner[1].deep = 5
    added.more = 6
    assert reply.to_dict()["future_field"] == {"inner": [1, {"deep": 5}], "more": 6}
    del added.more
    with pytest.raises(AttributeError, match="more"):
        _ = added.more
    for again in (pickle.loads(pickle.dumps(reply)), copy.deepcopy(reply)):
        assert again.future_field.inner[1].deep == 5


def test_what_was_parsed_is_kept_by_copies():
    pydantic = pytest.importorskip("pydantic")
    message = types.ChatCompletionMessage.of({"content": "{}"})
    message.__dict__["parsed"] = pydantic.TypeAdapter(dict).validate_json("{}")
    message.parsed = type("Item", (), {"__reduce__": lambda self: (complex, (1, 2))})()
    assert copy.deepcopy(message).parsed == 1 + 2j


@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_is_changed_without_its_original(reply, deep):
    made = reply.model_copy(update={"id": "other", "note": {"a": 1}}, deep=deep)
    assert (made.id, made.note, reply.id) == ("other", {"a": 1}, "chatcmpl-1")
    assert made.mesh.pool == "p"
    assert (made.choices[0] is reply.choices[0]) is not deep
    assert not hasattr(reply, "note")
    del made.choices
    assert reply.choices
    assert made.to_dict().keys() == reply.to_dict().keys() - {"choices"} | {"note"}
    assert reply.copy(include={"id"}).to_dict() == {"id": "chatcmpl-1"}
    assert "usage" not in reply.copy(exclude={"usage"}).to_dict()


def test_a_call_is_of_the_kind_that_it_is_of():
    function = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"id": "2", "type": "custom", "custom": {"name": "c", "input": "x"}}
    calls = types.ChatCompletionMessage.of({"tool_calls": [function, custom]}).tool_calls
    assert (calls[0].function.name, calls[1].custom.input) == ("f", "x")
    assert not hasattr(calls[0], "custom")
    assert not hasattr(calls[1], "function")
    assert [call.model_dump() for call in calls] == [function, custom]


def kinds_held(kind, name):
    """The kind of object that a field holds, alone or in a list; none if it holds plain JSON."""
    alone, (listed,) = getattr(kind.of({name: {}}), name), getattr(kind.of({name: [{}]}), name)
    return {type(found) for found in (alone, listed) if isinstance(found, Object)}


def of_the_sdk():
    """(our kind, the SDK's), each that an answer may hold."""
    import typing

    import openai.types as theirs
    import openai.types.chat as chat
    import pydantic

    pairs = [(getattr(types, name), getattr(chat, name)) for name in ("ChatCompletion", "ChatCompletionChunk")]
    pairs += [(getattr(types, name), getattr(theirs, name)) for name in ("Completion", "CreateEmbeddingResponse")]
    seen = []
    while pairs:
        ours, sdk = pairs.pop()
        seen.append((ours, sdk))
        for name, field in sdk.model_fields.items():
            kinds = [field.annotation]
            while kinds:
                kind = kinds.pop()
                kinds += typing.get_args(kind)
                if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
                    pairs += [(held, kind) for held in kinds_held(ours, name)]
    return seen


def test_every_field_of_the_sdks_objects_is_known_here():
    openai = pytest.importorskip("openai")
    if tuple(map(int, openai.__version__.split(".")[:2])) > (3, 57):
        pytest.skip("a newer SDK may know more")
    for ours, sdk in of_the_sdk():
        if ours is not Object and not issubclass(ours, types.ToolCall):  # told apart by what they hold
            assert set(sdk.model_fields) <= set(ours.of({}).model_dump()), (ours, sdk)
