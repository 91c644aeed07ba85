"""What telling OpenTelemetry everything costs: traces, metrics and logs of every request."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.tools import places
from tests.bench.tools.figures import Figure
from tests.bench.traffic.requests import drive

_COUNT = 8_000
_WARM = 6_000
"""Requests before those that count, so that what is sent in the background is under way: it lags by a second."""
_ROUNDS = 7


class Run(NamedTuple):
    """a_second: requests. own: processor time of the daemon for each, in µs."""

    a_second: float
    own: float


def throughput() -> list[Figure]:
    """Two daemons in turn, one of which traces and logs every request and sends metrics each second. Which of them
    begins changes from round to round, and each waits until the other has nothing left to send. Beside the requests a
    second, the processor time of the daemon for each says the same where other programs are running."""
    with places.nginx() as upstream:
        plain = places.configuration({"chat": upstream.url})
        otlp = [{"connector": "opentelemetry.otlp.v1", "endpoint": upstream.url}]
        told = {part: {"connector": otlp} for part in ("tracing", "logging")}
        told["statistics"] = {"connector": otlp, "metrics_interval": "1s"}
        tracing = json.dumps({**json.loads(plain), "observability": told})
        with places.daemon(plain) as without, places.daemon(tracing) as traced:
            rounds = [_both(traced, without, turn) for turn in range(_ROUNDS)]
            sent = _sent(traced)
            exporter = sum(map(_used, _children(traced.pid)))
    told_runs, plain_runs = zip(*rounds, strict=True)
    ratio = statistics.median(one.a_second / other.a_second for one, other in rounds)
    more = statistics.median(one.own - other.own for one, other in rounds)
    own = statistics.median(run.own for run in plain_runs)
    a, b = (statistics.median(run.a_second for run in runs) for runs in (told_runs, plain_runs))
    spread = sorted(one.a_second / other.a_second for one, other in rounds)
    detail = f"{a:,.0f} requests/s traced, {b:,.0f}/s not; {spread[0]:.3f} to {spread[-1]:.3f} over {_ROUNDS} rounds"
    beside = f"{own:.0f} µs without; another process takes {exporter / sent * 1e6:.0f} µs for each"
    return [
        Figure("throughput with OTLP at full sampling / without", ratio, 0.95, at_least=True, detail=detail),
        Figure("the daemon's processor time for OTLP", more, 0.05 * own, "µs a request", detail=beside),
    ]


def _both(traced: places.Daemon, without: places.Daemon, turn: int) -> tuple[Run, Run]:
    if turn % 2:
        other = _run(without)
        return _run(traced), other
    return _run(traced), _run(without)


def _run(daemon: places.Daemon) -> Run:
    drive(daemon.socket, _WARM)
    began = _used(daemon.pid)
    a_second = drive(daemon.socket, _COUNT)
    own = (_used(daemon.pid) - began) / (_COUNT + 64) * 1e6
    places.wait_for(lambda: _all_sent(daemon), "the end of what is sent", 60.0)
    return Run(a_second, own)


def _all_sent(daemon: places.Daemon) -> bool:
    return not any(sink["waiting"] for sink in _sinks(daemon))


def _sent(daemon: places.Daemon) -> int:
    """Requests that arrived. Raises RuntimeError if any did not."""
    (sink,) = (each for each in _sinks(daemon) if each["sink"] == "opentelemetry.otlp")
    if sink["dropped"] or sink["error"]:
        raise RuntimeError(f"not all was taken: {sink}")
    return int(sink["written"])


def _sinks(daemon: places.Daemon) -> list[dict[str, Any]]:
    import modelmesh

    with modelmesh.OpenAIClient(daemon.socket) as control:
        status: dict[str, Any] = control.mesh.request("GET", "/mesh/v1/status").to_dict()
    return list(status["sinks"])


def _used(pid: int) -> float:
    """Seconds of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in tasks for child in each.read_text().split()]
