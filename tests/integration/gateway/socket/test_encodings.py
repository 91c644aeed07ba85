"""A provider whose bodies cannot be read fails, and the next model answers; through the daemon."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support.providers.servers.local_server import Handler, LocalServer

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "from first"}, "finish_reason": "stop"}
ANSWER = json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [CHOICE]}).encode()
CHUNK = json.dumps({"choices": [{"index": 0, "delta": {"content": "from first"}, "finish_reason": "stop"}]})
STREAM = f"data: {CHUNK}\n\ndata: [DONE]\n\n".encode()


class Coded(LocalServer):
    """Answers with a body of any coding."""

    def __init__(self) -> None:
        coded = self
        self.coding, self.code = "gzip", gzip.compress

        class Answering(Handler):
            def do_POST(self) -> None:
                streams = json.loads(self.body()).get("stream")
                kind = "text/event-stream" if streams else "application/json"
                headers = {"content-type": kind, "content-encoding": coded.coding}
                self.send(200, coded.code(STREAM if streams else ANSWER), headers)

        super().__init__(Answering)


@pytest.fixture
def coded():
    made = Coded()
    yield made
    made.close()


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("coding", "code", "answers"),
    [
        ("x-gzip", gzip.compress, "from first"),
        ("snappy", gzip.compress, "from second"),
        ("gzip", lambda body: gzip.compress(body)[:-20], "from second"),
        ("gzip", bytes, "from second"),
    ],
    ids=["alias", "unknown", "cut", "not coded"],
)
def test_the_next_model_answers(coded, meshd, stream, coding, code, answers):
    coded.coding, coded.code = coding, code
    daemon = meshd(
        {
            "providers": {
                "first": {"connector": "openai-compatible.v1", "base_url": coded.url, "api_key": "none"},
                "second": {"connector": "modelmesh.scripted.v1", "script": [{"tokens": ["from second"]}]},
            },
            "models": {
                f"{name}.m": {"provider": name, "capabilities": ["chat-completion"]} for name in ("first", "second")
            },
            "pools": {"chat": {"models": ["first.m", "second.m"], "strategy": "priority-selection"}},
            "discovery": {"local": {"enabled": False}},
        }
    )
    with daemon.client() as client:
        messages = [{"role": "user", "content": "hi"}]
        if stream:
            chunks = client.chat.completions.create(model="chat", messages=messages, stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        else:
            text = client.chat.completions.create(model="chat", messages=messages).choices[0].message.content
        assert text == answers
