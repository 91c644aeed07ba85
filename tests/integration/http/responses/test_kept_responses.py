"""How many responses are kept, how long, and that they survive restarts: each with a daemon of its own."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.client.responses import ONE, PROXY, TWO, over_http, over_socket, said
from tests.support.waiting import until


@pytest.mark.parametrize("crash", [False, True])
def test_responses_survive_a_restart(meshd: Any, crash: bool) -> None:
    daemon = meshd({**CONFIG, "storage": {"sync_policy": "immediate"}, "daemon": {"drain_timeout": "0.1s"}})
    with over_socket(daemon) as client:
        made = client.responses.create(model="chat", input="hi there")
        gone = client.responses.create(model="chat", input="gone")
        client.responses.delete(gone.id)
        waits = client.responses.create(model="silent", input="hi", background=True)
        streams: Any = next(client.responses.create(model="silent", input="hi", background=True, stream=True)).response
        if crash:
            stored = daemon.state / "state.sqlite3"
            until(lambda: _rows(stored) == {made.id, waits.id, streams.id}, what="they are written")
            daemon.kill()
        else:
            assert daemon.stop() == 0
        daemon.start()
    with over_socket(daemon) as client:
        assert client.responses.retrieve(made.id).output_text == made.output_text
        more = client.responses.create(model="chat", input="and now?", previous_response_id=made.id)
        assert len(said(client, more.id)) == 3
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone.id)
        for id in (waits.id, streams.id):
            assert client.responses.retrieve(id).status == "failed"
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.retrieve(streams.id, stream=True)
        assert caught.value.code == "events_not_kept"
        assert "hi there" not in json.dumps(daemon.ask("GET", "/mesh/v1/status"))


def _rows(path: Path) -> set[str]:
    """The ids of the responses in a state store."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT value FROM kv WHERE key LIKE 'table/response/%'").fetchall()
    return {json.loads(value)["id"] for (value,) in found}


def test_as_many_as_configured_and_no_longer(meshd: Any) -> None:
    config = {**CONFIG, "responses": {"max_count": 3}}
    daemon = meshd(config)
    with over_socket(daemon) as client:
        made = [client.responses.create(model="chat", input=f"number {n}") for n in range(4)]
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made[0].id)
        assert client.responses.retrieve(made[1].id).id == made[1].id
        daemon.write({**CONFIG, "responses": {"enabled": False}})
        assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made[1].id)
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model="chat", input="hi", background=True)
        assert client.responses.create(model="chat", input="hi").output_text


def test_a_follow_up_has_to_fit(meshd: Any) -> None:
    """What is too long to be kept is answered all the same."""
    daemon = meshd({**CONFIG, "responses": {"max_size": "64KiB"}})
    with over_socket(daemon) as client:
        made = client.responses.create(model="counting", input="x" * 20_000)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)


def test_events_that_there_is_no_room_for_are_dropped(meshd: Any) -> None:
    """The oldest; its readers in time get them all, and the response has everything."""
    daemon = meshd({**CONFIG, "responses": {"max_size": "128KiB"}, "proxy": PROXY})
    with over_http(daemon) as client:
        events: list[Any] = list(client.responses.create(model="counting", input="go", background=True, stream=True))
        assert len(events) > 200
        id = events[0].response.id
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.retrieve(id, stream=True)
        assert caught.value.code == "events_not_kept"
        assert list(client.responses.retrieve(id, stream=True, starting_after=len(events) - 10)) == events[-9:]
        assert client.responses.retrieve(id).output_text.split() == [str(number) for number in range(200)]


def test_answers_from_a_cache_are_kept_for_each_app(meshd: Any) -> None:
    pools = {**CONFIG["pools"], "chat": {"capability": "chat-completion", "cache": {"scope": "shared"}}}
    daemon = meshd({**CONFIG, "pools": pools, "proxy": PROXY})
    with over_http(daemon, ONE) as one, over_http(daemon, TWO) as two:
        asked: Any = {"model": "chat", "input": "hi", "temperature": 0, "extra_headers": {"x-mesh-cache": "true"}}
        first, second = one.responses.create(**asked), two.responses.create(**asked)
        assert first.id == second.id
        one.responses.delete(first.id)
        assert two.responses.retrieve(second.id).output_text == second.output_text
        more = two.responses.create(model="chat", input="and now?", previous_response_id=second.id)
        assert len(said(two, more.id)) == 3
