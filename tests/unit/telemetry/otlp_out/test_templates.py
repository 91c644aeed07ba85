"""Templates give what each request gives alone, byte for byte, whatever it has; and ordinary requests have one."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.events.records import Attempt, Outcome
from meshd.core.tracing import Trace
from meshd.sdk.calls.tracing import HttpCall
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_out import kinds, protobuf
from meshd.telemetry.otlp_out.batch import Ended
from meshd.telemetry.otlp_out.records import EachAlone
from meshd.telemetry.otlp_out.templates import Templates, template_of
from tests.support.telemetry.otlp_receiver import decoded

NAMES = Names({"p": "gcp.gemini"}, {"p.m": "gemini-3"})
AHEAD = 1.7e9


def rarely(odd: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 19).flatmap(lambda drawn: odd if drawn == 7 else usual)


names = st.sampled_from(["", "p", "p.m", "chat", "chat.completions", "é" * 200, "a  b\n\x1b[c"])
amounts = rarely(st.sampled_from([2**63, -1]), st.sampled_from([0, 1, 127, 128, 16383, 16384, 2**40, 2**63 - 1]))
seconds = st.floats(0, 1e8)
flags = st.booleans()
units = rarely(st.just({"images": 1}), st.just({}))


def ids(size: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**size - 1).map(lambda number: f"{number:0{size}x}")


calls = st.builds(
    HttpCall,
    st.just("") | ids(16),
    st.sampled_from(["GET", "POST"]),
    names,
    st.sampled_from([0, 443]),
    seconds,
    seconds,
    st.sampled_from([0, 200, 500]),
    names,
)
attempts = st.builds(
    Attempt,
    model=names,
    provider=names,
    ok=flags,
    reason=names,
    message=rarely(names, st.just("")),
    status=st.sampled_from([0, 200, 429]),
    duration=seconds,
    tokens_in=amounts,
    tokens_out=amounts,
    cost=amounts,
    hedge=flags,
    units=units,
    began=st.just(0.0) | seconds,
    calls=st.lists(calls, max_size=2).map(tuple),
)
further = {"parent_id": st.just("") | ids(16), "state": st.sampled_from(["", "a=1"]), "sampled": flags}
traces = st.builds(Trace, ids(32), ids(16), **further) | st.builds(Trace)
DIFFERS: dict[str, st.SearchStrategy[Any]] = {
    "request_id": ids(32),
    "at": seconds,
    "pid": amounts,
    "attempts": st.lists(attempts, max_size=2).map(tuple),
    "tokens_in": amounts,
    "tokens_out": amounts,
    "tokens_cached": amounts,
    "cost": amounts,
    "queue_time": st.just(0.0) | seconds,
    "routing_time": seconds,
    "first_token_time": st.none() | seconds,
    "total_time": seconds,
    "arrived": seconds,
    "trace": st.none() | traces,
}
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from([200, 404, 499, 503]),
    "uid": st.sampled_from([-1, 0, 1000]),
    "error": rarely(names, st.just("")),
    "units": units,
    "content": st.none(),
    "bytes_in": rarely(st.just(5), st.just(0)),
    "bytes_out": rarely(st.just(5), st.just(0)),
    "stream": flags,
    "cached": flags,
    **dict.fromkeys(("rotations", "retries", "hedges"), st.sampled_from([0, 2])),
}
facts = {field.name: names for field in msgspec.structs.fields(Outcome)} | DIFFERS | OTHERS
outcomes = st.fixed_dictionaries(facts)
changes = st.fixed_dictionaries({}, optional=facts)
asked_for = st.fixed_dictionaries(
    {
        "traced": flags,
        "logged": flags,
        "said": rarely(st.just({"s": "x"}), st.just({})),
        "content": rarely(st.just({"c": [1]}), st.just({})),
    }
)


@given(outcomes, st.lists(changes, min_size=1, max_size=4), asked_for)
def test_they_give_what_a_request_gives_alone(
    first: dict[str, Any], further: list[dict[str, Any]], asked: dict[str, Any]
) -> None:
    templates, alone = Templates(), EachAlone(protobuf)
    templates.name_by(NAMES)
    alone.name_by(NAMES)
    for change in ({}, {}, *further, *further, *further, {}):
        ended = Ended(Outcome(**first | change), **asked)
        found = templates.encoded(ended, AHEAD)
        assert found == alone.encoded(ended, AHEAD)
        decoded("/v1/traces", protobuf.CONTENT_TYPE, protobuf.request("traces", {}, [found.spans]))
        decoded("/v1/logs", protobuf.CONTENT_TYPE, protobuf.request("logs", {}, [found.log]))


def ordinary(**changes: Any) -> Ended:
    call = HttpCall("", "POST", "api.example", 443, 1.1, 1.2, 200)
    spent: dict[str, Any] = {"status": 200, "tokens_in": 5, "tokens_out": 7, "cost": 9}
    attempt = Attempt("p.m", "p", True, duration=0.25, began=1.05, calls=(call,), **spent)
    given: dict[str, Any] = {
        "request_id": "ab" * 16, "at": 1.0, "operation": "chat.completions", "asked": "chat", "status": 200,
        "pool": "chat", "model": "p.m", "provider": "p", "attempts": (attempt,), "app": "a.py", "uid": 1000,
        "pid": 4242, "tokens_in": 5, "tokens_out": 7, "cost": 9, "routing_time": 1e-5, "total_time": 0.3,
        "arrived": 1.0, "trace": Trace("a" * 32, "b" * 16),
    }  # fmt: skip
    return Ended(Outcome(**given | changes), True, True)


LATER: dict[str, Any] = {
    "request_id": "cd" * 16, "at": 2.0, "pid": 5000, "tokens_in": 6, "tokens_out": 8, "cost": 10, "routing_time": 2e-5,
    "total_time": 0.4, "arrived": 2.0, "trace": Trace("c" * 32, "d" * 16), "session": "another",
    "attempts": (Attempt("p.m", "p", True, status=200, duration=0.5, tokens_in=6, tokens_out=8, cost=10, began=2.1,
                         calls=(HttpCall("e" * 16, "POST", "api.example", 443, 2.2, 2.3, 200),)),),
}  # fmt: skip


def test_ordinary_requests_are_of_a_kind_and_have_a_template() -> None:
    first, later = kinds.read(ordinary(), AHEAD), kinds.read(ordinary(**LATER), AHEAD)
    assert first is not None
    assert later is not None
    assert first.kind == later.kind
    template = template_of(ordinary(), NAMES, AHEAD, first)
    assert template is not None
    alone = EachAlone(protobuf)
    alone.name_by(NAMES)
    assert template.fill(ordinary(**LATER).outcome, later) == alone.encoded(ordinary(**LATER), AHEAD)


def test_what_is_rare_has_none() -> None:
    for rare in ({"error": "e"}, {"units": {"images": 1}}, {"bytes_in": 1}):
        assert kinds.read(ordinary(**rare), AHEAD) is None


def test_names_may_change() -> None:
    templates = Templates()
    for known in (NAMES, Names(models={"p.m": "another"}), NAMES):
        templates.name_by(known)
        alone = EachAlone(protobuf)
        alone.name_by(known)
        for _ in range(3):
            assert templates.encoded(ordinary(), AHEAD) == alone.encoded(ordinary(), AHEAD)
