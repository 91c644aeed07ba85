"""A number that no double holds, wherever it stands in an answer, a stream or an error: it costs that field, never the
text; through the daemon, and both clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import modelmesh
from tests.support.providers.servers.local_server import Handler, LocalServer

NUMBERS = ["1e400", "-1e400", "1E+999999999999", "9" * 400, "-" + "9" * 5000, "NaN", "Infinity", "-Infinity", "1e-400",
           "0." + "3" * 5000, "123456789012345678901234567890"]  # fmt: skip
PLACES = ["created", "index", "prompt", "completion", "total", "detail", "logprob", "inside", "beside", "deep"]
CODES = ["code", "param", "beside", "retry", "outside", "status"]


def answer(place: str, number: str, *, stream: bool) -> bytes:
    at = dict.fromkeys(PLACES, "1") | {"index": "0", place: number}
    said = f'{{"role":"assistant","content":"the text","x_inside":{at["inside"]}}}'
    logprobs = f'{{"content":[{{"token":"a","logprob":{at["logprob"]},"top_logprobs":[]}}]}}'
    choice = f'{{"index":{at["index"]},"{"delta" if stream else "message"}":{said},"logprobs":{logprobs}'
    usage = (
        f'{{"prompt_tokens":{at["prompt"]},"completion_tokens":{at["completion"]},"total_tokens":{at["total"]},'
        f'"prompt_tokens_details":{{"cached_tokens":{at["detail"]}}}}}'
    )
    kind = "chat.completion.chunk" if stream else "chat.completion"
    head = f'{{"id":"1","object":"{kind}","created":{at["created"]},"model":"m","x_beside":{at["beside"]}'
    body = f'{head},"x_deep":[{{"a":[{at["deep"]}]}}],"choices":[{choice},"finish_reason":"stop"}}],"usage":{usage}}}'
    return f"data: {body}\n\ndata: [DONE]\n\n".encode() if stream else body.encode()


def error(place: str, number: str) -> bytes:
    at = dict.fromkeys(CODES, "null") | {place: number}
    inside = f'"message":"no such thing","type":"invalid_request_error","code":{at["code"]},"param":{at["param"]}'
    return (
        f'{{"error":{{{inside},"x":[{at["beside"]}],"retry_after":{at["retry"]},"status":{at["status"]}}},'
        f'"x":{at["outside"]}}}'
    ).encode()


class Server(LocalServer):
    """Answers with what the request's `user` names."""

    def __init__(self) -> None:
        class Answering(Handler):
            def do_POST(self) -> None:
                asked = json.loads(self.body())
                kind, place, number = json.loads(asked["user"])
                stream = bool(asked.get("stream"))
                body = error(place, number) if kind == "error" else answer(place, number, stream=stream)
                events = {"content-type": "text/event-stream"} if stream and kind != "error" else {}
                self.send(400 if kind == "error" else 200, body, events)

        super().__init__(Answering)


@pytest.fixture(scope="module")
def daemon(module_meshd):
    server = Server()
    yield module_meshd(
        {
            "providers": {"p": {"connector": "openai-compatible.v1", "base_url": server.url, "api_key": "none"}},
            "models": {"p.m": {"provider": "p", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["p.m"]}},
            "discovery": {"local": {"enabled": False}},
        }
    )
    server.close()


def options(kind: str, place: str, number: str) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "user": json.dumps([kind, place, number])}


@pytest.mark.parametrize("place", PLACES)
def test_the_text_comes(daemon, place):
    async def asynchronously(number: str) -> None:
        async with modelmesh.AsyncOpenAIClient(str(daemon.socket)) as client:
            made = await client.chat.completions.create(**options("answer", place, number))
            assert made.choices[0].message.content == "the text"
            chunks = await client.chat.completions.create(**options("answer", place, number), stream=True)
            said = [chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]
            assert "".join(said) == "the text"

    with daemon.client(max_retries=0) as client:
        for number in NUMBERS:
            made = client.chat.completions.create(**options("answer", place, number))
            assert made.choices[0].message.content == "the text", number
            assert made.choices[0].finish_reason == "stop"
            assert json.loads(made.model_dump_json())["model"] == "m"
            chunks = list(client.chat.completions.create(**options("answer", place, number), stream=True))
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "the text"
            with client.chat.completions.stream(**options("answer", place, number)) as stream:
                assert stream.get_final_completion().choices[0].message.content == "the text", number
            raw = client.chat.completions.with_raw_response.create(**options("answer", place, number))
            assert raw.parse().choices[0].message.content == "the text"
    asyncio.run(asynchronously(NUMBERS[0]))


@pytest.mark.parametrize("place", CODES)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_the_words_of_an_error_come(daemon, place, stream):
    with daemon.client(max_retries=0) as client:
        for number in NUMBERS:
            with pytest.raises(modelmesh.MeshError, match="no such thing") as caught:
                list(client.chat.completions.create(**options("error", place, number), stream=stream))
            assert caught.value.status_code == 400, (number, caught.value)


@pytest.mark.parametrize("place", PLACES)
def test_the_sdk_reads_it_too(daemon, place):
    with modelmesh.openai_client(socket=str(daemon.socket), max_retries=0) as client:
        for number in NUMBERS:
            if len(number) > 4300 and "." not in number:
                continue  # the SDK's own reader refuses so many digits
            made = client.chat.completions.create(**options("answer", place, number))
            assert made.choices[0].message.content == "the text", number
