"""Who may see which event, and that the page lists what is for operators."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshd.core.caller import Peer
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.gateway.access.app_identity import Identity
from meshd.gateway.access.rights import OF_OPERATORS, Reader
from meshd.routing.table.specs import AppSpec, RoutingTable

PAGE = (Path(__file__).parents[4] / "docs" / "protocol.md").read_text(encoding="utf-8")
NOTHING = AppSpec("bob", pools=frozenset({"chat"}))


def reader(uid: int = 1001, *, operator: bool = False, spec: AppSpec = NOTHING) -> Reader:
    return Reader(Peer(uid=uid), Identity(spec, "bob", "bob"), operator, RoutingTable.empty())


@pytest.mark.parametrize("type", EventType)
def test_no_event_of_another_is_shown(type: EventType) -> None:
    for ids in (
        {"app": "ann"},
        {"pool": "private"},
        {"model": "m"},
        {"provider": "p"},
        {"request": "ab", "model": "m"},
    ):
        event = Event(type, 1, ids=ids, reason="said", changed={"from": "m"}, uid=1002, account="ann")
        assert reader().event(event) is None
        assert reader(operator=True).event(event)["reason"] == "said"


@pytest.mark.parametrize(
    ("type", "shown"),
    [
        (EventType.STREAM_CONTINUED, True),
        (EventType.REQUEST_HEDGED, True),
        (EventType.CLIENT_LOST, True),
        (EventType.CONFIG_REJECTED, False),
        (EventType.SECRET_ROTATED, False),
        (EventType.ACTOR_RESTARTED, False),
    ],
)
def test_ones_own_are(type: EventType, shown: bool) -> None:
    about = {"uid": 1001, "account": "bob"} if shown else {}
    found = reader().event(Event(type, 1, ids={"request": "ab"}, reason="said", **about))
    assert (found is not None) == shown
    if found is not None:
        assert (found["reason"], found.keys() & {"uid", "account"}) == ("said", set())


def test_a_limit_is_told_to_its_app() -> None:
    for account, shown in (("bob", True), ("ann", False)):
        found = reader().event(Event(EventType.BUDGET_ALERT, 1, ids={"app": account}, reason="said"))
        assert (found is not None) == shown


def test_a_holder_of_a_token_is_told_apart_by_its_app() -> None:
    assert reader(-1).owns(-1, "bob")
    assert not reader(-1).owns(-1, "ann")
    assert not reader(-1).owns(1001, "bob")
    assert not reader(1001).owns(-1, "bob")


def test_the_page_lists_them() -> None:
    section = PAGE.partition("### What operators alone see")[2].partition("\n- A `reason`")[0]
    named = set(re.findall(r"`(\w+)`", section.partition("left out")[2])) - {"status"}
    assert named == set().union(*OF_OPERATORS.values())
