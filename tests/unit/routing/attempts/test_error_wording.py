"""Every error that a request can end with: one sentence that says what to do, then each fact once on a line."""

from __future__ import annotations

import re

import pytest

from meshd.core.events.records import Attempt
from meshd.routing.attempts.errors.no_model import no_room_in_time
from meshd.routing.attempts.errors.provider import THE_APPS_OWN, of_one_provider
from meshd.routing.table.specs import ProviderSpec
from meshd.sdk.provider import FailureKind
from modelmesh.wording import LONGEST_SENTENCE, told
from tests.support.routing.routing_builders import failure

LONG = "workstation-in-the-second-room/qwen2.5-coder-32b-instruct-q4_k_m.imatrix"
OURS = [kind for kind in FailureKind if kind not in THE_APPS_OWN and kind is not FailureKind.CANCELLED]
ADVICE = re.compile(r"\b(ask|check|give|add|see|allow|raise|wait|start|says what|says why|change)\b")


def check(message: str) -> None:
    sentence, *details = message.split("\n")
    assert len(sentence) <= LONGEST_SENTENCE
    assert re.fullmatch(r"[A-Z`].*[.?]", sentence), sentence
    assert ADVICE.search(sentence), sentence
    assert not re.search(r"\w+Error\b|Traceback|Exception", message), message
    assert len(set(details)) == len(details)
    for detail in details:
        assert detail.strip().rstrip(".") not in sentence


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("name", ["p", LONG])
@pytest.mark.parametrize("wait", [None, 0.2, 42.0, 36000.0])
@pytest.mark.parametrize("kind", OURS)
def test_what_a_provider_did(kind: FailureKind, wait: float | None, name: str, keyed: bool) -> None:
    attempt = Attempt(name, name, False, str(kind), "it said so", 500)
    provider = ProviderSpec(name, "x", keyed=keyed)
    error = of_one_provider(failure(kind, message="it said so"), attempt, provider, [{}, {}], wait)
    check(error.message)
    assert error.message.count("it said so") == 1


@pytest.mark.parametrize("full", [True, False])
def test_too_many_at_once(full: bool) -> None:
    check(no_room_in_time({LONG: "2 of 2 requests are in flight"}, 4.0, waited=30.0, full=full).message)


def test_what_was_said_twice_is_told_once() -> None:
    assert told("It failed; ask again.", "a: b", "a: b", "", "c: d") == "It failed; ask again.\n  a: b\n  c: d"
    many = told("It failed; ask again.", *map(str, range(30)))
    assert many.splitlines()[-1] == "  and 20 more"
    check(told("Please ask again " * 60, "x"))
