"""Metrics of the process itself, and of the sinks.

Owns: these names. Those of the process are Prometheus' own for any program.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from meshd.sdk.metrics import Family, Kind, Row

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_SINK = "meshd.sink"


def of_the_process() -> list[Family]:
    used, (most, _) = resource.getrusage(resource.RUSAGE_SELF), resource.getrlimit(resource.RLIMIT_NOFILE)
    found = [
        _alone("process.cpu", "counter", "s", "Processor time.", used.ru_utime + used.ru_stime),
        _alone("process.max_fds", "gauge", "1", "Descriptors that it may have.", most),
    ]
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        since_boot = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / _TICKS
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        found += [
            _alone("process.resident_memory", "gauge", "By", "Memory in use.", pages * _PAGE),
            _alone("process.start_time", "gauge", "s", "When it started, since 1970.", booted + since_boot),
            _alone("process.open_fds", "gauge", "1", "Descriptors in use.", len(os.listdir("/proc/self/fd"))),
        ]
    except (OSError, IndexError, ValueError):  # a container may hide /proc
        pass
    return found


def of_sinks(status: Iterable[Mapping[str, Any]]) -> list[Family]:
    """status: rows of `SinkQueue.status`. Several sinks of one name are counted together."""
    sums: dict[str, list[int]] = {}
    for row in status:
        counts = (row["written"], row["dropped"], row["waiting"], int(bool(row["error"])))
        before = sums.get(row["sink"], [0] * len(counts))
        sums[row["sink"]] = [one + two for one, two in zip(before, counts, strict=True)]
    names: tuple[tuple[str, Kind, str], ...] = (
        ("meshd.sink.written", "counter", "Entries that a sink has written."),
        ("meshd.sink.dropped", "counter", "Entries that were dropped because a sink was slow or dead."),
        ("meshd.sink.waiting", "gauge", "Entries that wait for a sink."),
        ("meshd.sink.failing", "gauge", "1 while a sink cannot write."),
    )
    found = []
    for place, (name, kind, help) in enumerate(names):
        rows: tuple[Row, ...] = tuple(((sink,), counts[place]) for sink, counts in sums.items())
        found.append(Family(name, kind, "1", help, (_SINK,), rows))
    return found


def _alone(name: str, kind: Kind, unit: str, help: str, value: float) -> Family:
    return Family(name, kind, unit, help, (), (((), value),))
