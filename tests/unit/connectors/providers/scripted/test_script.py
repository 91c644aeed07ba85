"""The script language, and the scripted provider that plays it without a network."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshd.connectors.providers.scripted import script
from meshd.connectors.providers.scripted.provider import ScriptedProvider
from meshd.connectors.providers.scripted.script import Script, ScriptError
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, ProviderSettings


def provider(steps: Any = None, **options: Any) -> ScriptedProvider:
    return ScriptedProvider(ProviderSettings("s", "modelmesh.scripted.v1", options={"script": steps} | options))


def call(text: str = "hello there", stream: bool = False, **options: Any) -> ProviderCall:
    body = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": text}]}
    fields = msgspec.json.decode(msgspec.json.encode(body | options.pop("body", {})), type=dict[str, msgspec.Raw])
    options = {"first_token_timeout": 0.01, "idle_timeout": 0.01, "timeout": 0.5} | options
    return ProviderCall(options.pop("operation", CHAT), "m", fields, stream=stream, **options)


def content(body: bytes) -> str:
    found: str = msgspec.json.decode(body)["choices"][0]["message"]["content"]
    return found


async def test_without_a_script_it_echoes_and_says_so():
    answer = await provider().execute(call())
    assert content(answer.body) == "[scripted] hello there"
    assert msgspec.json.decode(answer.body)["system_fingerprint"] == "scripted"
    events = [event async for event in provider().stream(call(stream=True))]
    assert [event.text for event in events if event.content] == ["[scripted]", " hello", " there"]
    assert events[-1].hidden


def test_steps_are_taken_in_order_and_the_last_stays():
    steps = [{"error": 500, "times": 2}, {"reply": "a"}]
    found = Script({"script": steps})
    assert [found.take("m").error for _ in range(4)] == [500, 500, None, None]
    assert found.served == 4
    found = Script({"script": steps, "cycle": True})
    assert [found.take("m").error for _ in range(4)] == [500, 500, None, 500]


def test_a_script_for_each_model():
    found = Script({"script": {"a": [{"reply": "x"}], "*": [{"error": 503}]}})
    assert found.models == ["a"]
    assert found.take("a").reply == "x"
    assert found.take("b").error == 503


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"reply": "a"}, {"replay": "b"}], "step 2: .*replay"),
        ([{"fault": "explode"}], "step 1"),
        ([{"reply": "a", "delay": "soon"}], "'soon' is not a duration"),
        ({"m": []}, "list of steps"),
        ("hello", "list of steps"),
    ],
)
def test_a_wrong_script_says_where(steps, words):
    with pytest.raises(ScriptError, match=words):
        Script({"script": steps})


async def test_unary_failures():
    step = {"error": 429, "message": "slow down", "retry_after": 2}
    with pytest.raises(ProviderFailure) as caught:
        await provider([step]).execute(call())
    assert (caught.value.kind, caught.value.retry_after) == (FailureKind.RATE_LIMIT, 2)
    for fault, kind in {"reset": "connection", "html": "bad_answer", "timeout": "timeout"}.items():
        with pytest.raises(ProviderFailure) as caught:
            await provider([{"fault": fault}]).execute(call(timeout=0.01))
        assert caught.value.kind == kind


@pytest.mark.parametrize("fault", ["reset", "clean_close", "cut_chunk", "silence", "bad_end"])
async def test_stream_failures_after_some_words(fault):
    stream = provider([{"reply": "a b c d", "fault": fault, "after": 2}]).stream(call(stream=True))
    assert [(await anext(stream)).text, (await anext(stream)).text] == ["a", " b"]
    with pytest.raises(ProviderFailure) as caught:
        _ = [event async for event in stream if not event.hidden]  # what is counted and not shown
    assert caught.value.kind is FailureKind.STREAM_CUT


async def test_tool_calls_embeddings_and_usage():
    steps = [{"tool_call": {"name": "f", "arguments": {"x": 1}}}, {"embedding": 4}, {"reply": "z", "usage": {"completion_tokens": 9}}]  # noqa: E501  # fmt: skip
    scripted = provider(steps)
    body = msgspec.json.decode((await scripted.execute(call())).body)
    assert body["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    answer = await scripted.execute(call(operation=EMBEDDINGS, body={"input": ["a", "b", "a"]}))
    one, other, again = (row["embedding"] for row in msgspec.json.decode(answer.body)["data"])
    assert one == again != other
    answer = await scripted.execute(call())
    assert answer.usage is not None
    assert answer.usage.output_tokens == 9


def test_pieces_are_the_whole_text():
    request = script.Request(CHAT, "m", {})
    for text in ("", "one", " leading and trailing ", "a\nb  c\n"):
        assert "".join(script.words_of(script.Step(reply=text), request)) == text


async def test_several_calls_and_what_they_gave():
    calls = [{"name": "a", "id": "1"}, {"name": "b", "id": "2", "arguments": {"x": 1}}]
    scripted = provider([{"tool_calls": calls}, {"tool_calls": calls}, {"echo_results": True}])
    message = msgspec.json.decode((await scripted.execute(call())).body)["choices"][0]["message"]
    assert [each["function"]["name"] for each in message["tool_calls"]] == ["a", "b"]
    events = [event async for event in scripted.stream(call(stream=True))]
    assert [index for index in (0, 1) if any(b'"index":%d,"id"' % index in event.data for event in events)] == [0, 1]
    results = [{"role": "tool", "tool_call_id": each["id"], "content": f"got {each['id']}"} for each in calls]
    before = [{"role": "tool", "tool_call_id": "0", "content": "old"}, message]
    answer = await scripted.execute(call(body={"messages": [*before, *results]}))
    assert content(answer.body) == "[scripted] got 1 got 2"
