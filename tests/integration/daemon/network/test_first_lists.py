"""Requests that come before a provider has listed its models for the first time, as right after a start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modelmesh import MeshError
from tests.support.providers.faulty.flaky_server import ANSWER
from tests.support.providers.servers.local_server import Handler, LocalServer


class Listing(LocalServer):
    """Lists its models when it is `ready`, which it waits for, or `refuses` with 503 before. lists: how many it was
    asked for."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.refuses = False
        self.lists = 0
        listing = self

        class Answering(Handler):
            def do_GET(self) -> None:
                listing.lists += 1
                if listing.refuses and not listing.ready.is_set():
                    self.send(503, {"error": {"message": "Loading model"}})
                    return
                listing.ready.wait(20)
                self.send(200, {"object": "list", "data": [{"id": "m-chat", "object": "model"}]})

            def do_POST(self) -> None:
                self.body()
                self.send(200, ANSWER)

        super().__init__(Answering)


@pytest.fixture
def listing() -> Iterator[Listing]:
    made = Listing()
    yield made
    made.ready.set()
    made.close()


def config(listing: Listing) -> dict[str, Any]:
    provider = {"connector": "openai-compatible.v1", "base_url": listing.url, "auth": {"method": "none"}}
    return {
        "providers": {"p": provider},
        "discovery": {"local": {"enabled": False}, "health": {"enabled": False}},
    }


@pytest.mark.parametrize("name", ["chat-completion", "p.m-chat"])
@pytest.mark.parametrize("refuses", [False, True], ids=["slow", "503"])
def test_a_request_waits_for_the_first_list(
    meshd: Callable[..., Any], dial: Any, listing: Listing, eventually: Any, name: str, refuses: bool
) -> None:
    listing.refuses = refuses
    line = dial(meshd(config(listing)).socket)
    line.chat(model=name)
    eventually(lambda: listing.lists, what="it is asked for its list")
    line.round_trip()
    assert line.quiet(0.1), "the request waits"
    listing.ready.set()
    assert line.receive(line.wire.RESPONSE, 10).body


@pytest.mark.parametrize("lists", [True, False], ids=["all have listed", "no lists"])
def test_nothing_is_waited_for_when_nothing_is_expected(
    meshd: Callable[..., Any], listing: Listing, lists: bool
) -> None:
    listing.ready.set()
    settings = config(listing)
    if not lists:
        settings["discovery"]["sync"] = {"enabled": False}
        settings["models"] = {"p.m-chat": {"provider": "p", "capabilities": ["chat-completion"]}}
    daemon = meshd(settings)
    assert daemon.say().choices
    began = time.monotonic()
    with pytest.raises(MeshError) as caught:
        daemon.say(model="p.another")
    assert (caught.value.status_code, caught.value.code) == (404, "model_not_found")
    assert time.monotonic() - began < 2, "it is refused at once"


def test_a_list_that_never_comes_is_not_waited_for_without_end(meshd: Callable[..., Any], listing: Listing) -> None:
    began = time.monotonic()
    with pytest.raises(MeshError) as caught:
        meshd(config(listing)).say()
    assert caught.value.status_code in (404, 503)
    assert time.monotonic() - began < 12
