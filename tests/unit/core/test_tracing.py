"""W3C's Trace Context: what is read from an app, which requests are traced, and what a provider is told."""

from __future__ import annotations

import pytest
from yarl import URL

from meshd.connectors.providers import traced
from meshd.core.sampling import Sampling
from meshd.core.tracing import Trace, with_ids
from meshd.sdk.calls.tracing import MOST_CALLS, CallTrace, HttpCall

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ON = Sampling(on=True)


def begun(traceparent: str, sampling: Sampling = ON, **headers: str) -> Trace:
    return sampling.begin({"traceparent": traceparent, **headers})


def begun_call(trace: CallTrace) -> HttpCall:
    return traced.begun(trace, URL("http://h:1/v1"), b"POST /v1 HTTP/1.1\r\n", 1.5)


def test_an_apps_trace_goes_on() -> None:
    trace = begun(f"00-{ID}-{SPAN}-01", tracestate="a=1,b=2")
    assert (trace.trace_id, trace.parent_id, trace.state, trace.sampled) == (ID, SPAN, "a=1,b=2", True)
    assert trace.span_id not in (SPAN, "0" * 16)


def test_a_later_version_may_have_more() -> None:
    assert begun(f"01-{ID}-{SPAN}-03-more").parent_id == SPAN


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", f"00-{ID}-{SPAN}", f"00-{ID.upper()}-{SPAN}-01", f"ff-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{ID}-{'0' * 16}-01", f"00-{ID}-{SPAN}-01" + "x" * 1000,
        f"00-{ID}-{SPAN}-01\r\nx: y",
    ],
)  # fmt: skip
def test_anything_else_begins_a_trace(text: str) -> None:
    trace = begun(text, tracestate="a=1")
    assert (trace.parent_id, trace.state) == ("", "")
    assert trace.trace_id == ""  # the request's id


def test_a_new_trace_has_the_id_of_its_request() -> None:
    request, at = "5c2f4a" + "0" * 10 + "9d" * 8, 1.7e9
    trace = with_ids(ON.begin({}), request, at)
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (request, "", True)
    assert len(trace.span_id) == 16
    assert with_ids(ON.begin({}), request, at) == trace
    assert with_ids(ON.begin({}), request, at + 60).span_id != trace.span_id  # it was sent again


@pytest.mark.parametrize("sampling", [Sampling(True, 0.999999), Sampling(True, sent_on=frozenset({"*"}))])
def test_ids_that_are_needed_at_once_are_random(sampling: Sampling) -> None:
    traces = {sampling.begin({}).trace_id for _ in range(400)}  # more than are made at once
    assert len(traces) == 400
    assert {len(each) for each in traces} == {32}
    trace = sampling.begin({})
    assert with_ids(trace, "ab" * 16, 1.0) == trace


@pytest.mark.parametrize("request_id", ["0" * 32, "f" * 32, "0" * 31 + "1", f"{10**18:032x}"])
def test_ids_are_never_zero(request_id: str) -> None:
    trace = with_ids(Trace(), request_id, 1e9)
    assert int(trace.trace_id, 16) > 0
    assert int(trace.span_id, 16) > 0
    assert (len(trace.trace_id), len(trace.span_id)) == (32, 16)


@pytest.mark.parametrize("state", ["x" * 513, "a=1\r\nx: y", "a=é", "a\0"])
def test_a_state_that_cannot_be_sent_is_left_out(state: str) -> None:
    assert begun(f"00-{ID}-{SPAN}-01", tracestate=state).state == ""


@pytest.mark.parametrize(("ratio", "follow", "flag", "sampled"), [
    (0.0, True, 1, True), (1.0, True, 0, False), (0.0, False, 1, False), (1.0, False, 0, True),
])  # fmt: skip
def test_whose_decision_it_is(ratio: float, follow: bool, flag: int, sampled: bool) -> None:
    assert begun(f"00-{ID}-{SPAN}-0{flag}", Sampling(True, ratio, follow)).sampled is sampled


def test_a_fraction_is_taken() -> None:
    sampling = Sampling(True, 0.25)
    taken = sum(sampling.begin({}).sampled for _ in range(4000))
    assert 700 < taken < 1300
    assert begun(f"00-{ID}-{SPAN}-00", Sampling(True, 0.25, False)).sampled is False  # 8448… is more than a quarter
    assert begun(f"00-{ID}-{SPAN}-00", Sampling(True, 0.75, False)).sampled is True


def test_which_attempts_are_recorded_and_told() -> None:
    sampling = Sampling(True, sent_on=frozenset({"told"}))
    trace = begun(f"00-{ID}-{SPAN}-01", tracestate="a=1")
    told, untold = sampling.calls(trace, "told", 1.5), sampling.calls(trace, "other", 1.5)
    assert told is not None
    assert untold is not None
    assert told.began == 1.5
    assert told.headers(call := begun_call(told)) == (
        f"traceparent: 00-{ID}-{call.span_id}-01\r\ntracestate: a=1\r\n".encode()
    )
    assert untold.headers(begun_call(untold)) == b""
    unsampled = begun(f"00-{ID}-{SPAN}-00")
    assert sampling.calls(unsampled, "other", 1.5) is None
    quiet = sampling.calls(unsampled, "told", 1.5)
    assert quiet is not None
    assert quiet.headers(begun_call(quiet)).startswith(f"traceparent: 00-{ID}-".encode())
    assert quiet.calls == ()


def test_the_number_of_recorded_calls_has_a_bound() -> None:
    trace = CallTrace(ID, "", True, False, 0.0)
    for _ in range(MOST_CALLS * 2):
        begun_call(trace)
    assert len(trace.calls) == MOST_CALLS
