"""What the sink of OTLP does with what its receiver takes, does not take now, and refuses."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.observability.process.child_process import ChildProcess
from meshd.connectors.observability.process.child_process import Ended as ProcessEnded
from meshd.core.events.records import Attempt, Outcome
from meshd.core.tracing import Trace
from meshd.host import clock
from meshd.net.connections.posting import seconds_of
from meshd.sdk.metrics import Family, Reading
from meshd.sdk.observability import Entry, NotNow
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_out.batch import ENDED, Ended, encode
from meshd.telemetry.otlp_out.sink import OtlpSink
from tests.support.telemetry.otlp_receiver import Receiver, attributes
from tests.support.waiting import until

TRACE = Trace("a" * 32, "b" * 16, "c" * 16)
KEY = "a-key-of-the-receiver"
TIMEOUT = 2.0  # s of a post


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture(scope="module")
def made(receiver: Receiver) -> Iterator[OtlpSink]:
    sink = OtlpSink(
        {"endpoint": f"{receiver.url}/", "headers": {"x-key": KEY}, "resource": {"team": "t"}, "timeout": TIMEOUT}
    )
    yield sink
    sink.close()


@pytest.fixture
def sink(made: OtlpSink, receiver: Receiver) -> OtlpSink:
    receiver.forget()
    return made


def ended(traced: bool = True, logged: bool = True, **changes: Any) -> Entry:
    tried = Attempt("p.m", "p", True, duration=0.2, began=1.0)
    facts: dict[str, Any] = {"pool": "chat", "model": "p.m", "attempts": (tried,), "arrived": 1.0, "trace": TRACE}
    outcome = Outcome("ab", 1.0, "chat.completions", "chat", 200, **facts | changes)
    said = {"gen_ai.input.messages": "[]"}
    names = Names({"p": "gcp.gemini"}, {"p.m": "gemini-3"})
    whole = Ended(outcome, traced, logged, said, {"prompt": "hello"})
    return Entry(ENDED, 1, "info", "", {"ended": encode([whole]), "count": 1, "names": names})


def line(text: str = "a line") -> Entry:
    return Entry("log", 1, "info", text)


def send(sink: OtlpSink, *entries: Entry) -> None:
    for entry in entries:
        sink.write(entry)
    sink.flush()


def test_an_ended_request_is_spans_and_a_log_record(sink: OtlpSink, receiver: Receiver) -> None:
    send(sink, ended(), ended(traced=False), ended(logged=False))
    assert [span.name for span in receiver.spans()] == ["chat chat", "chat gemini-3"] * 2
    request, attempt = map(attributes, receiver.spans()[:2])
    assert request["gen_ai.input.messages"] == "[]"
    assert attempt["gen_ai.provider.name"] == "gcp.gemini"
    began = receiver.spans()[0].start_time_unix_nano / 1e9
    assert abs(began - 1.0 - clock.ahead()) < 60  # other tests of this process may have set the clock
    first, _ = receiver.logs()
    assert (first.event_name, first.trace_id.hex()) == ("meshd.request", TRACE.trace_id)
    assert attributes(first)["meshd.prompt"] == "hello"
    assert attributes(receiver.of("/v1/traces")[0].resource_spans[0].resource)["team"] == "t"
    assert receiver.headers[0]["x-key"] == KEY
    sink.flush()  # nothing is left
    assert len(receiver.received) == 2


@pytest.mark.parametrize(("status", "asked", "after"), [(503, "", 0.0), (429, "7", 7.0), (503, "soon", 0.0)])
def test_what_a_receiver_cannot_take_now_is_for_later(
    sink: OtlpSink, receiver: Receiver, status: int, asked: str, after: float
) -> None:
    receiver.status, receiver.retry_after = status, asked
    with pytest.raises(NotNow, match=str(status)) as raised:
        send(sink, ended(), line())
    assert raised.value.after == after
    receiver.status = 200
    send(sink, line("a later one"))
    assert [log.body.string_value for log in receiver.logs()] == ["a later one"], "the queue writes the batch again"
    assert sink.status() == {"dropped": 0, "error": ""}


def test_an_answer_says_in_seconds_or_with_a_date_when() -> None:
    assert seconds_of(" 120 ") == 120.0
    assert 50 < seconds_of(formatdate(time.time() + 60, usegmt=True)) <= 60
    past = formatdate(time.time() - 60, usegmt=True)
    assert [seconds_of(text) for text in ("", "-5", "1.5", "soon", past, "9" * 40)] == [0, 0, 0, 0, 0, 999999999.0]


def test_what_a_receiver_refuses_is_dropped_and_counted(sink: OtlpSink, receiver: Receiver) -> None:
    before = sink.status()["dropped"]
    receiver.status = 400
    send(sink, ended(logged=False), line())
    assert sink.status()["dropped"] == before + 3  # two spans
    assert "400" in sink.status()["error"]
    receiver.status, receiver.rejects = 200, 1
    send(sink, line(), line())
    assert sink.status()["dropped"] == before + 4
    assert "rejected 1 record" in sink.status()["error"]
    receiver.rejects = 0
    send(sink, line())
    assert sink.status() == {"dropped": before + 4, "error": ""}


@pytest.mark.parametrize("most", [600, 5_000, 100_000])
def test_what_is_too_large_for_a_receiver_is_sent_in_parts(sink: OtlpSink, receiver: Receiver, most: int) -> None:
    before = sink.status()["dropped"]
    receiver.most = most
    send(sink, *[line(f"line {number}") for number in range(300)])
    assert [log.body.string_value for log in receiver.logs()] == [f"line {number}" for number in range(300)]
    assert sink.status() == {"dropped": before, "error": ""}


def test_a_record_that_is_too_large_by_itself_is_dropped(sink: OtlpSink, receiver: Receiver) -> None:
    before = sink.status()["dropped"]
    receiver.most = 1000
    send(sink, line("a"), line("x" * 2000), line("b"))
    assert [log.body.string_value for log in receiver.logs()] == ["a", "b"]
    assert sink.status()["dropped"] == before + 1
    assert "refused 1 record with status 413" in sink.status()["error"]


def test_no_post_of_many_records_is_larger_than_a_proxy_takes(sink: OtlpSink, receiver: Receiver) -> None:
    send(sink, *[line("x" * 5000) for _ in range(500)])
    assert len(receiver.logs()) == 500
    assert all(int(headers["content-length"]) < 1_000_000 for headers in receiver.headers)


def test_a_batch_has_the_time_of_each_of_its_posts(
    sink: OtlpSink, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, given = ChildProcess.exchange, list[float]()

    def timed(process: ChildProcess, message: bytes, timeout: float) -> dict[str, Any]:
        given.append(timeout)
        return exchange(process, message, timeout)

    monkeypatch.setattr(ChildProcess, "exchange", timed)
    batches = ([line()], [ended()] * 800, [line("x" * 5000)] * 500, [line("é" * 5000), *[ended()] * 300])
    for batch in batches:
        receiver.forget()
        send(sink, *batch)
        assert given[-1] >= len(receiver.headers) * TIMEOUT
    assert given[0] < 4 * TIMEOUT + 5


def test_of_two_readings_only_the_last_is_sent(sink: OtlpSink, receiver: Receiver) -> None:
    for value in (1, 2):
        family = Family("c", "counter", "1", "C.", (), (((), value),))
        sink.write(Entry("metrics", 1, "info", "", {"reading": Reading(0, 1, (family,))}))
    sink.flush()
    (metric,) = receiver.metrics().values()
    assert [point.as_int for point in metric.sum.data_points] == [2]


def test_what_cannot_be_told_is_dropped_and_keeps_nothing_back(sink: OtlpSink, receiver: Receiver) -> None:
    before = sink.status()["dropped"]
    odd = [Entry("log", 1, "info", "odd", {"value": value}) for value in (2**80, object())]
    send(sink, *odd, line())
    assert [log.body.string_value for log in receiver.logs()] == ["a line"]
    assert sink.status()["dropped"] == before + 2


def children() -> set[int]:
    found = (path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return {int(pid) for each in found for pid in each.split()}


def test_its_process_may_die_and_shows_no_key(receiver: Receiver) -> None:
    before = children()
    receiver.forget()
    sink = OtlpSink({"endpoint": receiver.url, "headers": {"x-key": KEY}, "encoding": "json"})
    (pid,) = children() - before
    shown = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    assert KEY.encode() not in shown
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProcessEnded):
        send(sink, line())
    send(sink, line("again"))
    assert [log.body.string_value for log in receiver.logs()] == ["again"]
    (pid,) = children() - before
    sink.close()
    until(lambda: not Path(f"/proc/{pid}").exists())
