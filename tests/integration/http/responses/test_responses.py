"""Responses that are kept, through a real daemon with OpenAI's SDK: over HTTP, and over the mesh socket."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.integration.gateway.conftest import CONFIG, provider
from tests.support.apps.other_users.other_user import App
from tests.support.client.responses import ONE, PROXY, TWO, over_http, over_socket, said
from tests.support.waiting import WAIT, until

OTHER = 12345


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Any:
    scripts: dict[str, Any] = {
        "cut": {"tokens": ["a ", "b ", "c "], "fault": "reset", "after": 2},
        "patching": {"tool_call": {"name": "apply_patch", "id": "c1", "arguments": {"input": "*** Begin Patch\n"}}},
        "reading": {"tool_call": {"name": "fs__read", "id": "c2", "arguments": {}}},
    }
    able = {"capabilities": ["sentiment-analysis"], "features": {"tool_calling": True}}
    config = {
        **CONFIG,
        "providers": CONFIG["providers"] | {name: provider(script) for name, script in scripts.items()},
        "models": CONFIG["models"] | {f"{name}.chat": {"provider": name, **able} for name in scripts},
        "pools": CONFIG["pools"]
        | {name: {"models": [f"{name}.chat"], "retry": {"max_attempts": 1}} for name in scripts},
    }
    return module_meshd({**config, "proxy": PROXY})


@pytest.fixture(params=["http", "socket"])
def client(request: Any, daemon: Any) -> Iterator[openai.OpenAI]:
    with over_http(daemon) if request.param == "http" else over_socket(daemon) as made:
        yield made


# -- conversations ------------------------------------------------------------------------------------------


def test_a_conversation_continues_by_id(client: openai.OpenAI) -> None:
    first = client.responses.create(model="chat", input="hi there", instructions="Be brief.")
    assert first.output_text == "[scripted] hi there"
    second = client.responses.create(model="chat", input="and now?", previous_response_id=first.id)
    assert second.output_text == "[scripted] and now?"
    assert second.previous_response_id == first.id
    earlier = [("user", "hi there"), ("assistant", "[scripted] hi there")]
    assert said(client, second.id) == [*earlier, ("user", "and now?")]
    assert said(client, first.id) == earlier[:1]
    found = client.responses.retrieve(second.id)
    assert found.output_text == second.output_text
    assert found.previous_response_id == first.id
    assert client.responses.retrieve(first.id).instructions == "Be brief."


def test_a_stream_is_kept_before_its_app_has_its_end(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="counting", input="count", stream=True))
    done: Any = events[-1]
    assert done.type == "response.completed"
    again: list[Any] = list(
        client.responses.create(model="chat", input="go on", stream=True, previous_response_id=done.response.id)
    )
    named = {event.response.previous_response_id for event in again if hasattr(event, "response")}
    assert named == {done.response.id}
    assert [event.sequence_number for event in again] == list(range(len(again)))
    items = said(client, again[-1].response.id)
    assert [role for role, _ in items] == ["user", "assistant", "user"]
    assert items[1][1].split() == [str(number) for number in range(200)]
    assert client.responses.retrieve(done.response.id).output_text == done.response.output_text


def test_pages_of_an_input(client: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": f"number {n}"} for n in range(5)]
    made = client.responses.create(model="chat", input=asked)
    page: Any = client.responses.input_items.list(made.id, limit=2)
    texts = [item.content[0].text for item in page]
    assert texts == [f"number {n}" for n in (4, 3, 2, 1, 0)]
    wrong: tuple[Any, ...] = ({"limit": 0}, {"limit": 101}, {"order": "up"}, {"after": "nothing"})
    for each in wrong:
        with pytest.raises(openai.BadRequestError):
            client.responses.input_items.list(made.id, **each)


def test_nothing_is_kept_of_what_is_not_to_be_stored(client: openai.OpenAI) -> None:
    made = client.responses.create(model="chat", input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="chat", input="more", previous_response_id=made.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    body: Any = caught.value.body
    assert body["message"] == f"Previous response with id '{made.id}' not found."


def test_a_response_that_failed_is_not_kept_and_one_that_is_deleted_is_gone(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="refusing", input="hi")
    made = client.responses.create(model="chat", input="hi")
    client.responses.delete(made.id)
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{made.id}' not found"):
            call(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(made.id)


def test_the_tokens_of_an_input(client: openai.OpenAI) -> None:
    one = client.responses.input_tokens.count(model="chat", input="hi there")
    first = client.responses.create(model="chat", input="hi there")
    two = client.responses.input_tokens.count(model="chat", input="hi there", previous_response_id=first.id)
    assert 0 < one.input_tokens < two.input_tokens
    with pytest.raises(openai.NotFoundError):
        client.responses.input_tokens.count(model="nope", input="hi")


def test_what_there_is_not(client: openai.OpenAI) -> None:
    made = client.responses.create(model="chat", input="hi")
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        client.responses.cancel(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.compact(model="chat", input="hi")


# -- in the background ------------------------------------------------------------------------------------


def ended(client: openai.OpenAI, id: str) -> Any:
    found: list[Any] = []

    def look() -> bool:
        found[:] = [client.responses.retrieve(id)]
        return found[0].status not in ("queued", "in_progress")

    until(look, what="the response ends")
    return found[0]


def test_a_response_in_the_background(client: openai.OpenAI) -> None:
    first = client.responses.create(model="chat", input="hi there")
    made = client.responses.create(model="counting", input="count", background=True, previous_response_id=first.id)
    assert (made.status, made.background, made.output) == ("queued", True, [])
    found = ended(client, made.id)
    assert (found.status, found.background, found.id) == ("completed", True, made.id)
    assert found.previous_response_id == first.id
    assert found.output_text.split()[-1] == "199"
    assert client.responses.cancel(made.id).status == "completed"
    more = client.responses.create(model="chat", input="and now?", previous_response_id=made.id)
    assert [role for role, _ in said(client, more.id)] == ["user", "assistant", "user", "assistant", "user"]


def test_one_that_fails_in_the_background(client: openai.OpenAI) -> None:
    made = client.responses.create(model="refusing", input="hi", background=True)
    found = ended(client, made.id)
    assert (found.status, found.error.code) == ("failed", "invalid_prompt")
    assert "that is no good" in found.error.message


def test_a_cancelled_one_ends_at_its_provider(daemon: Any, client: openai.OpenAI) -> None:
    made = client.responses.create(model="silent", input="hi", background=True)
    until(lambda: client.responses.retrieve(made.id).status == "in_progress", what="it is at its provider")
    assert daemon.status()["in_flight"] == 1
    with pytest.raises(openai.BadRequestError, match="not ended"):
        client.responses.create(model="chat", input="more", previous_response_id=made.id)
    for _ in range(2):
        assert client.responses.cancel(made.id).status == "cancelled"
    until(lambda: daemon.status()["in_flight"] == 0, what="it is cancelled")
    assert client.responses.retrieve(made.id).status == "cancelled"


def test_a_deleted_one_ends_too(daemon: Any, client: openai.OpenAI) -> None:
    made = client.responses.create(model="silent", input="hi", background=True)
    client.responses.delete(made.id)
    until(lambda: daemon.status()["in_flight"] == 0, what="it is cancelled")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_what_cannot_be_asked_is_told_at_once(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nope", input="hi", background=True)


# -- whose it is ------------------------------------------------------------------------------------------


def refused(client: openai.OpenAI, id: str) -> None:
    """As if there were no such response."""
    unknown = f"resp_{'0' * 32}"
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        errors = []
        for asked in (id, unknown):
            with pytest.raises(openai.NotFoundError) as caught:
                call(asked)
            errors.append(str(caught.value).replace(asked, ""))
        assert errors[0] == errors[1]
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(id)
    with pytest.raises(openai.BadRequestError) as refusal:
        client.responses.create(model="chat", input="more", previous_response_id=id)
    assert refusal.value.code == "previous_response_not_found"


def test_a_response_is_found_only_with_its_token(daemon: Any) -> None:
    """Both tokens are of one app."""
    with over_http(daemon, ONE) as one, over_http(daemon, TWO) as two, over_http(daemon) as none:
        made = one.responses.create(model="chat", input="secret")
        for other in (two, none):
            refused(other, made.id)
        assert one.responses.retrieve(made.id).id == made.id


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user")
def test_a_response_is_found_only_by_its_user(meshd: Any) -> None:
    daemon = meshd({**CONFIG, "daemon": {"socket_mode": "0666"}})
    for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
        directory.chmod(0o755)
    app = App(daemon.socket, OTHER)
    with contextlib.closing(app), over_socket(daemon) as client:
        made = client.responses.create(model="chat", input="secret")
        attempts = [("GET", ""), ("GET", "?stream=true"), ("GET", "/input_items"), ("DELETE", ""), ("POST", "/cancel")]
        for method, part in attempts:
            found = app.begin(f"/v1/responses/{made.id}{part}", {} if method == "POST" else None, method).result(WAIT)
            assert found["error"]["status_code"] == 404
        body = {"model": "chat", "input": "more", "previous_response_id": made.id}
        found = app.begin("/v1/responses", body, "POST").result(WAIT)
        assert found["error"]["code"] == "previous_response_not_found"
        assert client.responses.retrieve(made.id).id == made.id


# -- limits ---------------------------------------------------------------------------------------------


def test_long_conversations_are_read_in_a_thread(client: openai.OpenAI) -> None:
    first = client.responses.create(model="counting", input="x" * 300_000)
    second = client.responses.create(model="counting", input="y" * 300_000, previous_response_id=first.id)
    items = said(client, second.id)
    assert [len(text) for role, text in items if role == "user"] == [300_000, 300_000]
    with pytest.raises(openai.APIStatusError) as caught:  # as if it were sent whole
        client.responses.create(model="counting", input="z" * 500_000, previous_response_id=second.id)
    assert (caught.value.status_code, caught.value.code) == (413, "message_too_large")


# -- tools of agents --------------------------------------------------------------------------------------

TOOLS: Any = [
    {"type": "custom", "name": "apply_patch", "description": "Changes files.", "format": {"type": "text"}},
    {"type": "web_search"},
    {"type": "namespace", "name": "fs", "description": "Files.", "tools": [
        {"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}, "strict": False}]},
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_an_agents_turn_with_a_custom_tool_and_a_namespace(client: openai.OpenAI, stream: bool) -> None:
    """Codex's: the model knows only functions."""

    def ask(model: str, **given: Any) -> Any:
        answer: Any = client.responses.create(model=model, tools=TOOLS, stream=stream, **given)
        return list(answer)[-1].response if stream else answer

    first = ask("patching", input="go")
    [call] = first.output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "apply_patch", "*** Begin Patch\n")
    done = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    second = ask("reading", input=[done], previous_response_id=first.id)
    [call] = second.output
    assert (call.type, call.name, call.namespace) == ("function_call", "read", "fs")
    read = {"type": "function_call_output", "call_id": call.call_id, "output": "text"}
    last = ask("chat", input=[read, {"role": "user", "content": "and?"}], previous_response_id=second.id)
    assert last.output_text == "[scripted] and?"
    kinds = [item.type for item in client.responses.input_items.list(last.id, order="asc")]
    assert kinds == [
        "message", "custom_tool_call", "custom_tool_call_output", "function_call", "function_call_output", "message",
    ]  # fmt: skip


# -- errors inside a stream, and WebSocket -----------------------------------------------------------------


def test_an_error_inside_a_stream_is_the_end_of_its_response(client: openai.OpenAI) -> None:
    events: list[Any] = list(client.responses.create(model="cut", input="hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last, first = events[-1], events[0]
    assert (first.type, last.type) == ("response.created", "response.failed")
    assert (last.response.id, last.response.status) == (first.response.id, "failed")
    assert last.response.error.code == "server_error"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.response.id)


def test_an_upgrade_is_refused_at_once(daemon: Any) -> None:
    url = daemon.status()["http"]["addresses"][0]
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
               "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip
    answer = httpx.get(f"{url}/v1/responses", headers=headers, timeout=WAIT)
    assert answer.status_code == 426
