"""`make bench`: every figure the project promises, measured here and now, each a ratio or a bound within one run.

`python -m tests.bench NAME…` for some of them; `--markdown` for docs/benchmarks.md. The exit status says whether
all targets were reached. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from tests.bench import peers, tensorzero
from tests.bench.daemon import decisions, metrics, otlp, process, steps, translation
from tests.bench.tools.figures import Figure
from tests.bench.traffic import http_streams, over_http, requests, streams

BENCHES: dict[str, Callable[[], list[Figure]]] = {
    "round-trip": requests.round_trip,
    "first-reply": requests.first_reply,
    "throughput": requests.throughput,
    "http": over_http.over_http,
    "http-streams": http_streams.held_streams,
    "http-chunks": http_streams.chunks,
    "first-token": streams.first_token,
    "chunks": streams.chunks,
    "streams": streams.thousand_streams,
    "memory": process.memory_and_start,
    "reload": process.reload_under_load,
    "decision": decisions.decision,
    "strategies": decisions.strategies,
    "translation": translation.translation,
    "scrape": metrics.scrape,
    "otlp": otlp.throughput,
    "steps": steps.steps,
    "idle": steps.idle,
}
PEERS: dict[str, Callable[[], list[Figure]]] = {
    "peers-http": peers.over_http,
    "peers-tensorzero": tensorzero.round_trip,
}
_HEAD = ["figure", "measured", "target", "reached", "detail"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join((*BENCHES, *PEERS))}; default all that need nothing of others",
    )
    parser.add_argument("--markdown", action="store_true", help="print a table for docs/benchmarks.md")
    options = parser.parse_args()
    known = {**BENCHES, **PEERS}
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed meshd has its bytecode
    figures = []
    for name in options.names or BENCHES:
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += known[name]()
    _print(figures, options.markdown)
    return 0 if all(figure.reached for figure in figures) else 1


def _print(figures: list[Figure], markdown: bool) -> None:
    if markdown:
        for row in [_HEAD, ["---"] * len(_HEAD), *(figure.cells() for figure in figures)]:
            print(f"| {' | '.join(row)} |")
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(*_HEAD)
    for figure in figures:
        shown.add_row(*figure.cells(), style=None if figure.reached else "red")
    Console(width=None if sys.stdout.isatty() else 160).print(shown)


if __name__ == "__main__":
    sys.exit(main())
