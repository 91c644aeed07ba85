"""What a provider's status means for the request and for its model, over real HTTP."""

from __future__ import annotations

import json

import pytest

import modelmesh
from tests.support.providers.faulty.flaky_server import ANSWER, FlakyServer
from tests.support.providers.servers.local_server import Handler, LocalServer

FLAGS = (
    {"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenAI"},
    {"reasons": ["violence"]},
    {"moderation": {"flagged": True}},
    {"error_type": "content_policy_violation"},
    {"error_type": "content_policy"},
    {"patterns": ["ignore all previous instructions"]},
)
"""How OpenRouter tells that it is the prompt which is refused."""


class Refusing(LocalServer):
    """Answers each request as the last word of its prompt says: a status, or "well"."""

    bodies = {
        408: {"error": {"message": "the queue took too long", "type": "timeout"}},
        409: {"error": {"message": "the thread is locked", "type": "conflict", "code": "locked"}},
    }

    def __init__(self) -> None:
        self.asked: list[str] = []
        refusing = self

        class Answering(Handler):
            def do_GET(self) -> None:
                self.send(200, {"object": "list", "data": [{"id": "m"}]})

            def do_POST(self) -> None:
                body = json.loads(self.body())
                word = body["messages"][-1]["content"].split()[-1]
                refusing.asked.append(word)
                status = int(word) if word.isdigit() else 200
                flag = FLAGS[len(refusing.asked) % len(FLAGS)]
                refused = {"error": {"code": 403, "message": "Refused", "metadata": flag}}
                self.send(status, refused if status == 403 else refusing.bodies.get(status, ANSWER))

        super().__init__(Answering)


@pytest.fixture(scope="module")
def refusing():
    made = Refusing()
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(module_meshd, refusing):
    def provider(url):
        return {"connector": "openai-compatible.v1", "base_url": url, "auth": {"method": "none"}}

    can = {"capabilities": ["chat-completion"], "model": "m"}
    spare = {"connector": "modelmesh.scripted.v1", "script": [{"reply": "from the spare"}]}
    return module_meshd(
        {
            "providers": {"one": provider(refusing.url), "spare": spare},
            "models": {"one.m": {"provider": "one", **can}, "spare.m": {"provider": "spare", **can}},
            "pools": {
                "alone": {"models": ["one.m"]},
                "both": {
                    "models": ["one.m", "spare.m"],
                    "strategy": "priority-selection",
                    "model_priority": ["one.m", "spare.m"],
                },
            },
        }
    )


def member(daemon, pool):
    return daemon.ask("GET", f"/mesh/v1/pools/{pool}")["models"][0]


def test_a_408_that_the_provider_tells_is_its_own_and_the_next_model_answers(daemon, refusing):
    answer = daemon.say("please 408", model="both")
    assert answer.mesh.model == "spare.m"
    first = answer.mesh.attempts[0]
    assert (first.model, first.status) == ("one.m", 408)


def test_a_409_is_passed_on_with_its_own_words(daemon, refusing):
    refusing.asked.clear()
    daemon.say("are you well", model="alone")
    with pytest.raises(modelmesh.ConflictError) as caught:
        daemon.say("please 409", model="alone")
    assert (caught.value.status_code, caught.value.code) == (409, "locked")
    assert str(caught.value).startswith("the thread is locked")
    assert refusing.asked.count("409") <= 2
    for _ in range(4):
        with pytest.raises(modelmesh.ConflictError):
            daemon.say("please 409", model="alone")
    assert member(daemon, "alone")["status"] == "active", "a conflict is between requests"


def test_flagged_prompts_in_any_number_take_no_model_out(daemon, refusing):
    refusing.asked.clear()
    for _ in range(12):
        with pytest.raises(modelmesh.MeshError) as caught:
            daemon.say("please 403", model="alone")
        assert "Refused" in str(caught.value)
        assert 400 <= caught.value.status_code < 500
    assert refusing.asked == ["403"] * 12, "once each"
    for pool in ("alone", "both"):
        assert member(daemon, pool)["status"] == "active"
    assert daemon.ask("GET", "/mesh/v1/providers?name=one")["data"][0]["available"]
    assert daemon.say("are you well", model="alone").choices[0].message.content == "hello"


def test_a_flagged_prompt_is_asked_of_another_model(daemon):
    assert daemon.say("please 403", model="both").mesh.model == "spare.m"


@pytest.mark.parametrize(
    "informational",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n",
    ],
    ids=["100", "103", "102 thrice", "100 and 103"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_said_before_the_answer_is_not_the_answer(meshd, informational, stream):
    server = FlakyServer("500", 0.0, informational=informational)
    try:
        daemon = meshd(
            {
                "providers": {
                    "one": {"connector": "openai-compatible.v1", "base_url": server.url, "auth": {"method": "none"}}
                },
                "models": {"one.m": {"provider": "one", "model": "m", "capabilities": ["chat-completion"]}},
            }
        )
        for _ in range(2):  # the connection is good for another
            if stream:
                chunks = list(daemon.say(model="one.m", stream=True))
                assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == "hello"
            else:
                answer = daemon.say(model="one.m")
                assert answer.choices[0].message.content == "hello"
                assert not [each for each in answer.mesh.attempts if each.reason]
        assert server.calls == 2
    finally:
        server.close()
