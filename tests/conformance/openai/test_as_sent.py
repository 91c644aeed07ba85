"""What frameworks send, the same from the SDK alone and through the mesh: what the provider gets, and how a cut answer
is told."""

from __future__ import annotations

import openai
import pydantic
import pytest

import modelmesh
from tests.support.providers.faulty.odd_provider import OddProvider

SAID = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
AS_SENT = {
    "nulls": {"stop": None, "tool_choice": None, "response_format": None, "temperature": None, "top_p": None, "n": None,
              "seed": None, "user": None, "logit_bias": None, "max_tokens": None, "max_completion_tokens": None,
              "presence_penalty": None, "logprobs": None, "top_logprobs": None, "parallel_tool_calls": None,
              "reasoning_effort": None, "metadata": None, "store": None, "service_tier": None, "modalities": None,
              "audio": None, "prediction": None, "web_search_options": None, "stream_options": None},
    "null tools": {"tools": None},
    "no tools": {"tools": []},
    "no tools, and a choice": {"tools": [], "tool_choice": None},
    "a tool, no choice": {"tools": [TOOL], "tool_choice": None, "parallel_tool_calls": None},
    "no stop": {"stop": []},
    "text as a format": {"response_format": {"type": "text"}},
    "developer": {"messages": [{"role": "developer", "content": "be short"}, *SAID]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}], "name": None}]},
    "empty texts": {"messages": [{"role": "system", "content": ""}, *SAID]},
    "a call told": {"messages": [
        *SAID,
        {"role": "assistant", "content": None, "refusal": None, "function_call": None, "audio": None, "annotations": [],
         "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": ""}]},
    "null calls": {"messages": [*SAID, {"role": "assistant", "content": "a", "tool_calls": None}, *SAID]},
    "own fields": {"extra_body": {"top_k": None, "chat_template_kwargs": {"thinking": False}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def odd():
    made = OddProvider("hello")
    yield made
    made.close()


@pytest.fixture(scope="module")
def socket(odd, module_meshd):
    daemon = module_meshd(
        {
            "providers": {"p": {"connector": "openai-compatible.v1", "base_url": odd.url, "api_key": "none"}},
            "models": {"p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["p.m"]}},
            "discovery": {"local": {"enabled": False}},
        }
    )
    return str(daemon.socket)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("name", AS_SENT)
def test_the_provider_gets_what_the_sdk_would_send_it(odd, socket, name, stream):
    asked = {"messages": SAID} | AS_SENT[name] | ({"stream": True} if stream else {})
    direct = openai.OpenAI(base_url=odd.url, api_key="none", max_retries=0)
    thin = modelmesh.OpenAIClient(socket, max_retries=0)
    through = modelmesh.openai_client(socket=socket, max_retries=0)
    sent = []
    for client, model in ((direct, "m"), (thin, "chat"), (through, "chat")):
        with client:
            answer = client.chat.completions.create(model=model, **asked)
            if stream:
                said = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
            else:
                said = answer.choices[0].message.content
        assert said == "hello"
        sent.append(odd.bodies[-1])
    if stream:  # the mesh asks for the usage, which it hides from who did not
        for body in sent:
            body.pop("stream_options", None)
    else:
        for body in sent:  # means nothing without a stream, and some servers refuse it
            body.pop("stream_options", None)
    assert sent[1] == sent[0]
    assert sent[2] == sent[0]


class Person(pydantic.BaseModel):
    name: str


CUTS = {"length": openai.LengthFinishReasonError, "content_filter": openai.ContentFilterFinishReasonError}
STRICT = [openai.pydantic_function_tool(Person, name="person")]


@pytest.mark.parametrize("reason", CUTS)
@pytest.mark.parametrize("wanted", [{"response_format": Person}, {"tools": STRICT}, {}], ids=["class", "tool", "text"])
async def test_a_cut_answer_is_told_as_the_sdk_tells_it(odd, socket, monkeypatch, reason, wanted):
    """By `parse` and at the end of `.stream()`, of all clients: the same class, or none where the SDK has none."""
    monkeypatch.setattr(odd, "finish", reason)
    asked = {"messages": SAID} | wanted
    outcomes = []
    clients = (
        (openai.OpenAI(base_url=odd.url, api_key="none", max_retries=0), "m"),
        (modelmesh.OpenAIClient(socket, max_retries=0), "chat"),
        (modelmesh.openai_client(socket=socket, max_retries=0), "chat"),
    )
    for client, model in clients:
        with client:

            def streamed(client=client, model=model):
                with client.chat.completions.stream(model=model, **asked) as stream:
                    return stream.get_final_completion()

            parsed = outcome(lambda client=client, model=model: client.chat.completions.parse(model=model, **asked))
            outcomes.append((parsed, outcome(streamed)))
    async with modelmesh.AsyncOpenAIClient(socket, max_retries=0) as client:
        outcomes.append((await aoutcome(client.chat.completions.parse(model="chat", **asked)), outcomes[0][1]))
    assert outcomes == [outcomes[0]] * 4
    if "response_format" in wanted:
        assert outcomes[0][0][0] is CUTS[reason]


def told(error):
    theirs = next((cls for cls in CUTS.values() if isinstance(error, cls)), type(error))
    completion = getattr(error, "completion", None)
    choice = completion.choices[0] if completion is not None else None
    return theirs, str(error).partition(" - ")[0], choice and (choice.finish_reason, choice.message.content)


def outcome(ask):
    try:
        return "whole", ask().choices[0].message.content
    except Exception as error:
        return told(error)


async def aoutcome(asking):
    try:
        return "whole", (await asking).choices[0].message.content
    except Exception as error:
        return told(error)
