"""What telling OpenTelemetry everything costs."""

from __future__ import annotations

import json
import statistics

from tests.bench.requests import drive
from tests.bench.tools import places
from tests.bench.tools.figures import Figure

_COUNT = 12_000


def throughput() -> list[Figure]:
    """Two daemons in turn, one of which traces every request and sends metrics each second."""
    with places.nginx() as upstream:
        plain = places.configuration({"chat": upstream.url})
        otlp = [{"connector": "opentelemetry.otlp.v1", "endpoint": upstream.url}]
        told = {"tracing": {"connector": otlp}, "statistics": {"connector": otlp, "metrics_interval": "1s"}}
        tracing = json.dumps({**json.loads(plain), "observability": told})
        with places.daemon(plain) as without, places.daemon(tracing) as traced:
            figures = [(drive(traced.socket, _COUNT), drive(without.socket, _COUNT)) for _ in range(5)]
    ratio = statistics.median(one / other for one, other in figures)
    a, b = (statistics.median(each) for each in zip(*figures, strict=True))
    detail = f"{a:,.0f} requests/s traced, {b:,.0f}/s not"
    return [Figure("throughput with OTLP at full sampling / without", ratio, 0.95, at_least=True, detail=detail)]
