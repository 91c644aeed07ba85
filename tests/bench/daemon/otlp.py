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

_COUNT = 40_000
"""More than five seconds' worth: every five seconds the daemon reads its journal, which takes a tenth of the throughput
while it lasts. A shorter run either has that in it or has not."""
_WARM = 6_000
"""Requests before those that count, so that what is sent in the background is under way: it lags by a second."""
_ROUNDS = 7


class Run(NamedTuple):
    """a_second: requests. own, exporter: processor time for each, in µs, of the daemon and of its process that
    exports."""

    a_second: float
    own: float
    exporter: float


def throughput() -> list[Figure]:
    """Two daemons, one of which traces and logs every request and sends metrics each second. Each round begins with new
    ones, since two daemons alike may differ by 5 % for as long as they live. Beside the requests a second, the
    processor time of the daemon for each says the same where other programs are running."""
    with places.nginx() as upstream:
        plain = places.configuration({"chat": upstream.url})
        otlp = [{"connector": "opentelemetry.otlp.v1", "endpoint": upstream.url}]
        told = {part: {"connector": otlp} for part in ("tracing", "logging")}
        told["statistics"] = {"connector": otlp, "metrics_interval": "1s"}
        tracing = json.dumps({**json.loads(plain), "observability": told})
        rounds = [_both(tracing, plain, turn) for turn in range(_ROUNDS)]
    told_runs, plain_runs = zip(*rounds, strict=True)
    ratio = statistics.median(one.a_second / other.a_second for one, other in rounds)
    more = statistics.median(one.own - other.own for one, other in rounds)
    own = statistics.median(run.own for run in plain_runs)
    exporter = statistics.median(run.exporter for run in told_runs)
    a, b = (statistics.median(run.a_second for run in runs) for runs in (told_runs, plain_runs))
    spread = sorted(one.a_second / other.a_second for one, other in rounds)
    detail = f"{a:,.0f} requests/s traced, {b:,.0f}/s not; {spread[0]:.3f} to {spread[-1]:.3f} over {_ROUNDS} rounds"
    beside = f"{own:.0f} µs without; another process takes {exporter:.0f} µs for each"
    return [
        Figure("throughput with OTLP at full sampling / without", ratio, 0.95, at_least=True, detail=detail),
        Figure("the daemon's processor time for OTLP", more, 0.05 * own, "µs a request", detail=beside),
    ]


def _both(tracing: str, plain: str, turn: int) -> tuple[Run, Run]:
    if turn % 2:
        other = _run(plain)
        return _run(tracing), other
    return _run(tracing), _run(plain)


def _run(configuration: str) -> Run:
    with places.daemon(configuration) as daemon:
        drive(daemon.socket, _WARM)
        began, exported = _used(daemon.pid), sum(map(_used, _children(daemon.pid)))
        a_second = drive(daemon.socket, _COUNT)
        own = (_used(daemon.pid) - began) / (_COUNT + 64) * 1e6
        places.wait_for(lambda: _all_sent(daemon), "the end of what is sent", 60.0)
        _check_sent(daemon)
        exporter = (sum(map(_used, _children(daemon.pid))) - exported) / (_COUNT + 64) * 1e6
        return Run(a_second, own, exporter)


def _all_sent(daemon: places.Daemon) -> bool:
    return not any(sink["waiting"] for sink in _sinks(daemon))


def _check_sent(daemon: places.Daemon) -> None:
    """Raises RuntimeError if not all requests arrived."""
    for sink in _sinks(daemon):
        if sink["dropped"] or sink["error"]:
            raise RuntimeError(f"not all was taken: {sink}")


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
