"""Discovery connectors of other packages: what they find, and what happens with nonsense."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from meshd.discovery import outside
from meshd.discovery.local_watch import LocalWatch
from meshd.discovery.outside import OutsideDiscovery
from meshd.sdk.discovery import Discovery, FoundServer
from meshd.sdk.provider import ModelListing


class Given(Discovery):
    def __init__(self, look: Callable[[], Any]) -> None:
        super().__init__({})
        self._answer = look

    def look(self) -> Iterable[FoundServer]:
        return self._answer()


def server(name: str = "lan", url: str = "http://10.0.0.7:8000/v1", *models: str, connector: str = "c") -> FoundServer:
    return FoundServer(name, connector, url, tuple(ModelListing(id=id) for id in models or ("m",)))


def asked(look: Callable[[], Any], refuses: Callable[[str], str] = lambda id: "") -> OutsideDiscovery:
    return OutsideDiscovery([("acme.lan.v1", Given(look))], refuses)


def test_all_of_them_are_asked() -> None:
    both = OutsideDiscovery([("a", Given(lambda: [server("one")])), ("b", Given(lambda: iter([server("two")])))])
    assert [each.name for each in both.look()] == ["one", "two"]
    assert both
    assert not OutsideDiscovery()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ("a server", "it found str, not a FoundServer"),
        (server("a name"), "the name of a server may contain"),
        (server(url="ftp://x"), "lan has no address of the form"),
        (server(url="http://[::1"), "lan has no address of the form"),
        (FoundServer("lan", "c", "http://x", ("m",)), "is not a ModelListing"),
        (FoundServer("lan", "c", "http://x", [ModelListing(id="m")]), "must be a tuple"),
        (server(connector="keyed"), "keyed sends a key"),
    ],
)
def test_what_is_not_a_server_is_left_out(found: Any, why: str, caplog: pytest.LogCaptureFixture) -> None:
    def refuses(id: str) -> str:
        return "keyed sends a key" if id == "keyed" else ""

    seen = asked(lambda: [found, server("good")], refuses)
    with caplog.at_level(logging.WARNING):
        assert [each.name for each in seen.look()] == ["good"]
        seen.look()
    assert caplog.text.count("discovery by acme.lan.v1 failed") == 1, "said once"
    assert why in caplog.text


def test_what_was_found_before_stays_while_it_cannot_look() -> None:
    answers: list[Any] = [[server()], ZeroDivisionError("no"), SystemExit(1), []]

    def look() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    seen = asked(look)
    assert [len(seen.look()) for _ in range(4)] == [1, 1, 1, 0]


def test_one_that_hangs_is_waited_for_no_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "PATIENCE", 0.05)
    end, began = threading.Event(), []

    def look() -> Any:
        began.append(1)
        end.wait(20)
        return [server()]

    seen = asked(look)
    try:
        assert seen.look() == []
        assert seen.look() == []
        assert began == [1], "not asked again while it has not answered"
    finally:
        end.set()


def running(**discovery: Any) -> Any:
    sync, local = SimpleNamespace(interval=60.0), SimpleNamespace(enabled=False, servers=())
    config = SimpleNamespace(discovery=SimpleNamespace(sync=sync, local=local, **discovery))
    providers = {"own": SimpleNamespace(connector="c", base_url="http://10.0.0.9/v1/")}
    return SimpleNamespace(config=config, providers=providers, stored=SimpleNamespace(providers=providers))


def test_found_servers_become_providers_and_go_with_their_connector() -> None:
    watch = LocalWatch({})
    found = [server(), server("lan", "http://10.0.0.8:8000/v1"), server("own", "http://10.0.0.9/v1")]
    assert watch.configure(running(), asked(lambda: found))
    changes = watch.scanned(watch.look())
    assert [change.name for change in changes] == ["lan", "lan-8000"], "one that is configured is not taken up"
    assert changes[0].catalogue.settings == {"connector": "c", "base_url": "http://10.0.0.7:8000/v1"}
    assert watch.configure(running())
    gone = watch.scanned(watch.look())
    assert [(change.name, change.catalogue.models) for change in gone] == [("lan", None), ("lan-8000", None)]
    assert not watch.configure(running()) or not watch.enabled
