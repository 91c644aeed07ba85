"""Events of responses in the background, through a real daemon with OpenAI's SDK: over HTTP and the mesh socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

import openai
import pytest

import modelmesh
from tests.integration.gateway.conftest import CONFIG, provider
from tests.support.client.responses import ONE, PROXY, TWO, over_http, over_socket
from tests.support.waiting import WAIT, until


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Any:
    script = {"tokens": ["a ", "b ", "c "], "fault": "reset", "after": 2}
    config = {
        **CONFIG,
        "providers": CONFIG["providers"] | {"cut": provider(script)},
        "models": CONFIG["models"] | {"cut.chat": {"provider": "cut", "capabilities": ["sentiment-analysis"]}},
        "pools": CONFIG["pools"] | {"cut": {"models": ["cut.chat"], "retry": {"max_attempts": 1}}},
    }
    return module_meshd({**config, "proxy": PROXY})


@pytest.fixture(params=["http", "socket"])
def client(request: Any, daemon: Any) -> Iterator[openai.OpenAI]:
    with over_http(daemon) if request.param == "http" else over_socket(daemon) as made:
        yield made


def begun(client: openai.OpenAI, model: str) -> Any:
    """A stream of events in the background."""
    return client.responses.create(model=model, input="go", background=True, stream=True)


def numbers(events: list[Any]) -> list[int]:
    return [event.sequence_number for event in events]


def test_every_event_can_be_read_again(client: openai.OpenAI) -> None:
    events = list(begun(client, "counting"))
    assert numbers(events) == list(range(len(events)))
    assert [event.type for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    statuses = [event.response.status for event in (*events[:3], events[-1])]
    assert statuses == ["queued", "queued", "in_progress", "completed"]
    ids = {event.response.id for event in events if hasattr(event, "response")}
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    [id] = ids
    found = client.responses.retrieve(id)
    assert (found.status, found.background, found.output_text) == ("completed", True, text)
    assert events[-1].response == found
    assert client.responses.cancel(id) == found
    for after in (None, 0, 100, len(events) - 2, len(events), 10**6):
        given: Any = {} if after is None else {"starting_after": after}
        again = list(client.responses.retrieve(id, stream=True, **given))
        assert again == events[0 if after is None else after + 1 :]
    with client.responses.stream(response_id=id, starting_after=50) as stream:
        assert numbers(list(stream)) == list(range(51, len(events)))
        assert stream.get_final_response().output_text == text


def test_one_goes_on_without_its_reader_until_it_is_cancelled(daemon: Any, client: openai.OpenAI) -> None:
    """Two readers get the rest, one of which does not read at first."""
    first = begun(client, "endless")
    events = list(islice(first, 20))
    first.close()
    id = events[0].response.id
    slow = client.responses.retrieve(id, stream=True)
    live: Any = client.responses.retrieve(id, stream=True, starting_after=19)
    assert numbers(list(islice(live, 300))) == list(range(20, 320))
    assert client.responses.retrieve(id).status == "in_progress"
    rest: list[Any] = []
    reading = threading.Thread(target=lambda: rest.extend(live))
    reading.start()
    assert client.responses.cancel(id).status == "cancelled"
    reading.join(WAIT)
    whole: list[Any] = list(slow)
    assert numbers(whole) == list(range(len(whole)))
    assert rest[-1] == whole[-1]
    assert (rest[-1].type, rest[-1].response["status"]) == ("response.cancelled", "cancelled")
    assert list(client.responses.retrieve(id, stream=True)) == whole
    until(lambda: daemon.status()["in_flight"] == 0, what="it ends at its provider")


def test_readers_of_one_that_is_deleted_are_told(client: openai.OpenAI) -> None:
    stream = begun(client, "endless")
    id = next(stream).response.id
    client.responses.delete(id)
    last = list(stream)[-1]
    assert (last.type, last.code) == ("error", "events_not_kept")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(id, stream=True)


@pytest.mark.parametrize(("model", "code"), [("refusing", "invalid_prompt"), ("cut", "server_error")])
def test_one_that_fails(client: openai.OpenAI, model: str, code: str) -> None:
    events = list(begun(client, model))
    last = events[-1]
    assert numbers(events) == list(range(len(events)))
    assert (last.type, last.response.status, last.response.error.code) == ("response.failed", "failed", code)
    assert client.responses.retrieve(last.response.id) == last.response


def test_what_cannot_be_asked_is_told_at_once(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        begun(client, "nope")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="chat", input="hi", background=True, stream=True, store=False)
    assert caught.value.param == "background"


@pytest.mark.parametrize("background", [False, True])
def test_only_what_was_begun_as_a_stream_has_events(client: openai.OpenAI, background: bool) -> None:
    made = client.responses.create(model="chat", input="hi", background=background)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.retrieve(made.id, stream=True)
    assert (caught.value.code, caught.value.param) == ("events_not_kept", "stream")
    assert client.responses.retrieve(made.id).id == made.id


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "9" * 20])
def test_a_wrong_number(client: openai.OpenAI, after: Any) -> None:
    id = next(begun(client, "chat")).response.id
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.retrieve(id, stream=True, starting_after=after)
    assert caught.value.param == "starting_after"


def test_events_are_found_only_with_their_token(daemon: Any) -> None:
    """Both tokens are of one app."""
    with over_http(daemon, ONE) as one, over_http(daemon, TWO) as two, over_socket(daemon) as none:
        id = next(begun(one, "chat")).response.id
        for other in (two, none):
            with pytest.raises(openai.NotFoundError, match=f"Response with id '{id}' not found"):
                other.responses.retrieve(id, stream=True, starting_after=0)
        assert list(one.responses.retrieve(id, stream=True))


def test_the_thin_client_reads_them(daemon: Any) -> None:
    with modelmesh.OpenAIClient(socket=str(daemon.socket)) as client:
        events = list(client.responses.create(model="chat", input="hi", background=True, stream=True))
        id = events[0].response.id
        again = [event.type for event in client.responses.retrieve(id, stream=True, starting_after=1)]
        assert again == [event.type for event in events[2:]]
        assert client.responses.retrieve(id).status == "completed"
