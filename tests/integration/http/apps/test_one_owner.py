"""What a user keeps at one door is the user's at every other; nothing of it is another user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.apps.other_users.other_user import WAIT, App
from tests.support.client.doors import Door, proxy
from tests.support.client.responses import ONE, TOKENS, over_http

DOORS = ("mesh", "tcp", "unix")
STRANGER = 61001  # a user that this machine does not know


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    http = {**proxy(module_short), "auth": {"tokens": TOKENS}}
    return module_meshd({**CONFIG, "proxy": http, "daemon": {**CONFIG["daemon"], "socket_mode": "0666"}})


@pytest.fixture(scope="module")
def clients(daemon: Any) -> Iterator[dict[str, openai.OpenAI]]:
    with ExitStack() as opened:
        yield {kind: opened.enter_context(Door(kind, daemon).openai()) for kind in DOORS}


@pytest.fixture(scope="module")
def stranger(daemon: Any) -> Iterator[App]:
    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
        directory.chmod(0o755)
    app = App(daemon.socket, STRANGER)
    yield app
    app.close()


@pytest.mark.parametrize(("here", "there"), list(permutations(DOORS, 2)))
def test_what_is_kept_at_one_door_is_found_at_another(
    clients: dict[str, openai.OpenAI], daemon: Any, here: str, there: str
) -> None:
    one, other = clients[here], clients[there]
    made = one.responses.create(model="chat", input="hi")
    assert other.responses.retrieve(made.id).output_text == made.output_text
    assert other.responses.create(model="chat", input="and?", previous_response_id=made.id).status == "completed"
    file = one.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
    assert other.files.content(file.id).read() == b"{}\n"
    assert file.id in {each.id for each in other.files.list()}
    batch = one.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.id in {each.id for each in other.batches.list()}
    assert other.batches.retrieve(batch.id).id == batch.id
    with over_http(daemon, ONE) as holder:
        kept: dict[str, Any] = {made.id: holder.responses, file.id: holder.files, batch.id: holder.batches}
        for id, part in kept.items():
            with pytest.raises(openai.NotFoundError):
                part.retrieve(id)
    other.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        one.responses.retrieve(made.id)


@pytest.mark.parametrize("door", DOORS)
def test_another_user_does_not_find_it(clients: dict[str, openai.OpenAI], stranger: App, door: str) -> None:
    client = clients[door]
    made = client.responses.create(model="chat", input="hi")
    file = client.files.create(file=b"x", purpose="user_data")
    for path in (f"/v1/responses/{made.id}", f"/v1/responses/{made.id}/input_items", f"/v1/files/{file.id}"):
        assert stranger.begin(path).result(WAIT)["error"]["status_code"] == 404
    more = {"model": "chat", "input": "and?", "previous_response_id": made.id}
    refused = stranger.begin("/v1/responses", more, "POST").result(WAIT)
    assert refused["error"]["code"] == "previous_response_not_found"
    assert stranger.begin("/v1/files").result(WAIT)["data"] == []
    for path in (f"/v1/responses/{made.id}", f"/v1/files/{file.id}"):
        assert stranger.begin(path, method="DELETE").result(WAIT)["error"]["status_code"] == 404
    assert client.responses.retrieve(made.id).id == made.id
