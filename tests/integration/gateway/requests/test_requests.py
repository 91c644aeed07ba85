"""Requests and answers over the real socket."""

from __future__ import annotations

import json
import os
import sys

import pytest

import modelmesh
from modelmesh import protocol as wire


def test_hello_is_answered_with_what_the_daemon_is(daemon, dial):
    line = dial(daemon.socket)
    welcome = line.welcome
    assert welcome.version == 1
    assert welcome.daemon.startswith("meshd/")
    assert len(welcome.instance) == 16
    assert welcome.credit == wire.DEFAULT_CREDIT
    assert welcome.heartbeat_ms == 5000
    assert welcome.max_message_size == 1024**2
    assert not welcome.draining
    assert dial(daemon.socket).welcome.instance == welcome.instance


def test_ping_is_answered(line):
    line.send(wire.PING)
    assert line.receive(wire.PONG).request_id == b""


def test_an_answer_comes_under_its_id_with_what_the_mesh_did(line):
    request_id = line.chat("hello")
    answer = line.receive(wire.RESPONSE)
    assert answer.request_id == request_id
    assert answer.head.status == 200
    assert answer.head.headers == {"content-type": "application/json"}
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "[scripted] hello"
    mesh = answer.head.mesh
    assert (mesh["pool"], mesh["model"], mesh["provider"]) == ("chat", "echo.chat", "echo")
    assert [attempt["status"] for attempt in mesh["attempts"]] == [200]
    assert mesh["cost"] == 0.0
    assert 0 <= mesh["routing_time"] < 1
    assert 0 <= mesh["queue_time"] < 1


def test_requests_may_follow_hello_at_once(daemon, dial):
    line = dial(daemon.socket, greet=False)
    line.send(wire.HELLO)
    line.chat()
    assert [line.receive().kind for _ in range(2)] == [wire.WELCOME, wire.RESPONSE]


def test_many_at_once_are_each_answered_under_their_id(line):
    asked = {line.chat(f"number {number}"): number for number in range(200)}
    for _ in range(200):
        answer = line.receive(wire.RESPONSE)
        text = json.loads(answer.body)["choices"][0]["message"]["content"]
        assert text == f"[scripted] number {asked.pop(answer.request_id)}"


def test_the_model_may_be_a_pool_a_capability_or_a_model(daemon):
    for name in ("chat", "chat-completion", "text-generation", "generation.text-generation", "echo.chat"):
        assert daemon.say(model=name).mesh.model == "echo.chat"


def test_completions_and_embeddings(daemon):
    client = daemon.client()
    assert client.completions.create(model="text-completion", prompt="hi").choices[0].text == "[scripted] hi"
    assert len(client.embeddings.create(model="text-embeddings", input=["a", "b"]).data) == 2


def test_an_unknown_name_is_404_with_the_nearest(daemon):
    with pytest.raises(modelmesh.NotFoundError, match="did you mean chat-completion") as caught:
        daemon.say(model="chat-compltion")
    error = caught.value
    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")
    assert "chat-completion" in error.nearest
    assert not error.retryable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"model": "chat", "stream": "yes"}',
        b'{"model": "chat", "max_tokens": []}',
        b"[" * 100_000,
        b'{"model": "chat", "messages": ' + b"[" * 100_000,
        b'{"model": "chat", "messages": [], "x": ' + b'{"a":' * 100_000,
    ],
    ids=lambda body: f"{body[:30]!r}",
)
def test_a_body_that_cannot_be_read_is_400(daemon, line, body):
    line.request(body=body)
    error = line.receive(wire.ERROR).head
    assert error.status == 400
    assert error.error["code"] in ("invalid_json", "invalid_request")
    line.chat()
    line.receive(wire.RESPONSE)
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("model", [None, "", 7, ["chat"]])
def test_a_model_field_that_names_nothing_is_400(line, model):
    line.request(body={"model": model, "messages": []})
    error = line.receive(wire.ERROR).head
    assert (error.status, error.error["param"]) == (400, "model")


def test_a_stream_wanted_by_the_frame_alone_is_400(line):
    line.request(body={"model": "chat", "messages": []}, stream=True)
    assert line.receive(wire.ERROR).head.status == 400


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"tools": [TOOL]}, "tool"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "image|vision|too long"),
        ({"messages": [{"role": "user", "content": "word " * 1000}]}, "too long"),
    ],
    ids=["tools", "images", "length"],
)
def test_what_no_model_of_the_pool_can_do_is_400_and_says_which_could(daemon, request_, why):
    request = {"model": "plain", "messages": [{"role": "user", "content": "hi"}], **request_}
    with pytest.raises(modelmesh.BadRequestError, match=rf"(?s)could\..*({why}).*echo\.tools") as caught:
        daemon.client().chat.completions.create(**request)
    error = caught.value
    assert (error.status_code, error.code) == (400, "model_cannot")
    assert set(error.reasons) == {"echo.plain"}
    assert "echo.tools" in error.could


def test_a_providers_own_400_is_passed_on_as_it_is(daemon):
    with pytest.raises(modelmesh.BadRequestError, match=r"^that is no good$") as caught:
        daemon.say(model="refusing")
    error = caught.value
    assert (error.status_code, error.code, error.type) == (400, "bad_thing", "bad_type")
    assert [attempt["status"] for attempt in error.attempts] == [400]
    assert daemon.model("refusing.chat")["status"] == "active"


def test_the_requests_deadline_ends_it(line):
    line.chat(model="silent", deadline_ms=100)
    error = line.receive(wire.ERROR).head
    assert (error.status, error.error["code"]) == (504, "timeout")


def test_unknown_paths_and_methods(line):
    for method, path, status, code in [
        ("GET", "/nowhere", 404, "unknown_path"),
        ("POST", "", 404, "unknown_path"),
        ("DELETE", "/mesh/v1/status", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("GET", "/v1/models/nothing", 404, "model_not_found"),
        ("GET", "/mesh/v1/pools/nothing", 404, "model_not_found"),
        ("GET", "/mesh/v1/models?id=nothing", 404, "model_not_found"),
        ("GET", "/mesh/v1/providers?name=nothing", 404, "not_found"),
        ("GET", "/mesh/v1/stats?by=weather", 400, "invalid_request"),
        ("GET", "/mesh/v1/stats?since=yesterday", 400, "invalid_request"),
        ("GET", "/mesh/v1/events?limit=nan", 400, "invalid_request"),
        ("POST", "/mesh/v1/rotate", 400, "invalid_request"),
    ]:
        line.request(path, method=method)
        error = line.receive(wire.ERROR).head
        assert (error.status, error.error["code"]) == (status, code), (method, path, error)


def test_an_operations_body_of_the_wrong_shape_is_400(line):
    for path, body in [
        ("/mesh/v1/rotate", b"{"),
        ("/mesh/v1/rotate", b"[]"),
        ("/mesh/v1/rotate", b'{"pool": 7}'),
        ("/mesh/v1/explain", b'{"model": 7}'),
        ("/mesh/v1/explain", b'{"path": "/nowhere", "model": "chat"}'),
        ("/mesh/v1/models/activate", b'{"id": []}'),
        ("/mesh/v1/drain", b'{"timeout": "soon"}'),
        ("/mesh/v1/drain", b'{"timeout": []}'),
        ("/mesh/v1/probe", b'{"provider": []}'),
        ("/mesh/v1/rotate", b"[" * 100_000),
        ("/mesh/v1/rotate", b'{"pool":' * 100_000),
        ("/mesh/v1/explain", b'{"model": "chat", "max_tokens": "many"}'),
    ]:
        line.request(path, body)
        error = line.receive(wire.ERROR).head
        assert error.status in (400, 404), (path, body[:40], error)


def test_admitted_numbers_may_be_text_in_a_query(daemon):
    assert len(daemon.ask("GET", "/mesh/v1/events?limit=1")["data"]) <= 1
    assert daemon.ask("GET", "/mesh/v1/stats?since=3600")["since"] == 3600


def test_describe_shows_the_caller_as_the_kernel_names_it(daemon):
    you = daemon.ask("GET", "/mesh/v1/describe")["you"]
    assert (you["uid"], you["gid"], you["pid"]) == (os.getuid(), os.getgid(), os.getpid())
    assert you["exe"] == os.path.realpath(sys.executable)


def test_what_a_client_says_of_itself_is_not_an_identity(daemon, dial):
    line = dial(daemon.socket, greet=False)
    line.send(wire.HELLO, b"", wire.HelloHead(process="systemd", app="root", client="other/9"))
    line.receive(wire.WELCOME)
    line.request("/mesh/v1/describe", method="GET", app="root", headers={"authorization": "Bearer root"})
    assert json.loads(line.receive(wire.RESPONSE).body)["you"]["pid"] == os.getpid()


def test_models_are_listed_as_openai_does(daemon):
    listed = [model.id for model in daemon.client().models.list()]
    assert listed.index("chat") < listed.index("echo.chat")
    assert daemon.client().models.retrieve("echo.chat").owned_by == "echo"
    assert daemon.client().models.retrieve("chat").owned_by == "mesh"
