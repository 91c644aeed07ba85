"""Which sinks each stream goes to, and from which level.

Owns: the sinks' queues. One queue serves all streams that name the same connector with the same settings.
Must never: make an entry, or wait for a sink.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from meshd.sdk.observability import SEVERITIES, Entry, Sink
from meshd.telemetry.queue import SinkQueue, size_of
from meshd.telemetry.records import severity_of_request
from meshd.telemetry.spans import severity_of

EVENTS, REQUESTS, LOGS, STATISTICS, METRICS, TRACES = "event", "request", "log", "statistics", "metrics", "trace"
NEVER = 1000
PARTS = ("routing", "logging", "statistics", "tracing")
_RELEASED_WITHIN = 1.0  # s


class Route(msgspec.Struct, frozen=True):
    """An entry of a stream at this level or above goes to the queue."""

    queue: SinkQueue
    least: int


class WholeRoute(msgspec.Struct, frozen=True):
    """An ended request goes to the queue as a whole, for its spans and for its log record from these levels on."""

    queue: SinkQueue
    traced: int
    logged: int


class Ways(msgspec.Struct, frozen=True):
    """Where an ended request goes. spans, record: whether sinks get these. whole: which sinks get all of it, whether
    for its spans, and whether for its record."""

    spans: bool
    record: bool
    whole: tuple[tuple[SinkQueue, bool, bool], ...]

    def without_record(self) -> Ways:
        return Ways(self.spans, False, tuple((queue, True, False) for queue, traced, _ in self.whole if traced))


def default_connector() -> str:
    """The journal under systemd, lines on standard error everywhere else."""
    if os.environ.get("JOURNAL_STREAM") and not sys.stderr.isatty() and os.path.exists("/run/systemd/journal/socket"):
        return "modelmesh.journal.v1"
    return "modelmesh.console.v1"


class Sinks:
    """on_trouble(sink, error): called once per outage, in the sink's thread."""

    def __init__(self, on_trouble: Callable[[str, str], None] | None = None) -> None:
        self._on_trouble = on_trouble
        self._queues: dict[str, SinkQueue] = {}
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._least: dict[str, int] = {}
        self._whole: tuple[WholeRoute, ...] = ()
        self._ways: dict[tuple[int, bool], Ways | None] = {}
        self._events: frozenset[str] = frozenset()
        self._stage: SinkQueue | None = None
        self._places: dict[SinkQueue, tuple[str, str, str]] = {}  # kind, where it writes, section

    def configure(self, observability: Any, log_level: str, state_dir: Path) -> None:
        """Use these sinks from now on. Queues whose settings did not change continue, with their waiting entries."""
        before, self._queues = self._queues, {}
        self._stage = self._presidio(observability.logging, before)
        self._places = {}
        level, traced = SEVERITIES[log_level], SEVERITIES[observability.tracing.min_severity]
        parts = {
            part: [self._queue(entry, part, state_dir, before) for entry in entries(observability, part)]
            for part in PARTS
        }
        self._name_apart()
        self._routes = {
            EVENTS: tuple(Route(queue, level if cls.quiet else 0) for queue, cls in parts["routing"]),
            LOGS: tuple(Route(queue, level) for queue, _ in parts["logging"]),
            REQUESTS: tuple(
                Route(queue, _for_requests(cls, level)) for queue, cls in parts["logging"] if not self._is_whole(cls)
            ),
            STATISTICS: tuple(
                Route(queue, level if cls.quiet else 0) for queue, cls in parts["statistics"] if not cls.metrics
            ),
            TRACES: tuple(Route(queue, traced) for queue, cls in parts["tracing"] if not cls.whole_requests),
            METRICS: tuple(Route(queue, 0) for queue, cls in parts["statistics"] if cls.metrics),
        }
        self._least = {
            stream: min((route.least for route in routes), default=NEVER) for stream, routes in self._routes.items()
        }
        traces = {queue: traced for queue, cls in parts["tracing"] if cls.whole_requests}
        logs = {queue: _for_requests(cls, level) for queue, cls in parts["logging"] if self._is_whole(cls)}
        self._ways = {}
        self._whole = tuple(
            WholeRoute(queue, traces.get(queue, NEVER), logs.get(queue, NEVER)) for queue in traces | logs
        )
        self._events = frozenset(observability.routing.events)
        for key, queue in before.items():
            if key not in self._queues:
                queue.close(0.2)
                queue.join(_RELEASED_WITHIN)  # its folder or port may be another sink's now
        for queue, cls in chain.from_iterable(parts.values()):
            if cls.lasting and queue not in before.values():
                queue.wake()

    def wants(self, stream: str, severity: str) -> bool:
        """Whether any sink takes such an entry."""
        return SEVERITIES.get(severity, 20) >= self._least.get(stream, NEVER)

    def ways(self, status: int, traced: bool) -> Ways | None:
        """For a request that ended so; None: no sink takes anything of it. traced: it has spans."""
        key = status, traced
        if key not in self._ways:
            self._ways[key] = self._found_ways(status, traced)
        return self._ways[key]

    def _found_ways(self, status: int, traced: bool) -> Ways | None:
        severity, of_record = severity_of(status), severity_of_request(status)
        levels = SEVERITIES[severity] if traced else -1, SEVERITIES[of_record]
        whole = [(each.queue, levels[0] >= each.traced, levels[1] >= each.logged) for each in self._whole]
        spans, record = traced and self.wants(TRACES, severity), self.wants(REQUESTS, of_record)
        whole = [each for each in whole if each[1] or each[2]]
        return Ways(spans, record, tuple(whole)) if spans or record or whole else None

    def wants_event(self, type: str, severity: str) -> bool:
        return (not self._events or type in self._events) and self.wants(EVENTS, severity)

    def put(self, entry: Entry, size: int | None = None) -> None:
        """size: bytes, if it is known."""
        if self._stage is not None and "prompt" in entry.fields:
            self._stage.put(entry, size)
        else:
            self._deliver(entry, size)

    def _deliver(self, entry: Entry, size: int | None = None) -> None:
        level = entry.level
        size = size_of(entry) if size is None else size
        for route in self._routes.get(entry.stream, ()):
            if level >= route.least:
                route.queue.put(entry, size)

    def put_reading(self, entry: Entry) -> None:
        """Of the stream `metrics`. A sink that is slow or dead gets only the last one."""
        for route in self._routes.get(METRICS, ()):
            route.queue.put_latest(entry)

    def drain(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        for queue in self._queues.values():
            queue.drain(max(0.0, until - time.monotonic()))

    def close(self, timeout: float) -> None:
        """Write what waits if that is quick, then release the sinks."""
        until = time.monotonic() + timeout + _RELEASED_WITHIN
        self.drain(timeout)
        for queue in self._queues.values():
            queue.close(0.0)
        for queue in self._queues.values():
            queue.join(max(0.0, until - time.monotonic()))
        self._queues.clear()
        self._routes.clear()
        self._least.clear()
        self._whole, self._ways = (), {}

    def status(self) -> list[dict[str, Any]]:
        return [queue.status() for queue in self._queues.values()]

    def _is_whole(self, cls: type[Sink]) -> bool:
        """Whether it makes the log records of requests itself. Presidio has to see their contents first."""
        return cls.whole_requests and self._stage is None

    def _presidio(self, logging: Any, before: dict[str, SinkQueue]) -> SinkQueue | None:
        """The queue before those of the sinks, for entries with contents."""
        model = logging.presidio_model
        if not model or logging.level == "metadata":
            return None
        key = f"presidio {model}"

        def make() -> Sink:
            from meshd.telemetry.presidio.stage import PresidioStage

            return PresidioStage(model, self._deliver)

        self._queues[key] = before.get(key) or SinkQueue("presidio", make, on_trouble=self._on_trouble)
        return self._queues[key]

    def _queue(
        self, entry: WantedSink, part: str, state_dir: Path, before: dict[str, SinkQueue]
    ) -> tuple[SinkQueue, type[Sink]]:
        cls = sink_class(entry.connector)
        settings = settings_of(cls, entry, part, state_dir)
        key = f"{cls.__module__}.{cls.__qualname__} {sorted(settings.items())!r}"
        queue = self._queues.get(key) or before.get(key)
        name = entry.connector.removeprefix("modelmesh.").removesuffix(".v1")
        if queue is None:
            make = _maker(entry.connector, settings)
            queue = SinkQueue(name, make, batch=cls.batch, linger=cls.linger, on_trouble=self._on_trouble)
        self._queues[key] = queue
        self._places.setdefault(queue, (name, _place(settings), part))
        return queue, cls

    def _name_apart(self) -> None:
        """Name each sink by its kind, and where there are several of a kind, also by where it writes."""
        kinds = Counter(kind for kind, _, _ in self._places.values())
        places = Counter((kind, place) for kind, place, _ in self._places.values())
        for queue, (kind, place, part) in self._places.items():
            where = place if place and places[kind, place] == 1 else f"{place} ({part})".strip()
            queue.name = kind if kinds[kind] == 1 else f"{kind} {where}"


class WantedSink(msgspec.Struct, frozen=True):
    connector: str
    settings: dict[str, Any]


def entries(observability: Any, part: str) -> Iterable[WantedSink]:
    section = getattr(observability, part)
    if section.connector:
        for entry in section.connector:
            yield WantedSink(entry.connector, {**section.settings, **entry.settings})
    elif part not in ("statistics", "tracing"):  # kept for queries, not printed every minute
        yield WantedSink(default_connector(), {})


def settings_of(cls: type[Sink], entry: WantedSink, part: str, state_dir: Path) -> dict[str, Any]:
    """With the sink's usual `path`, if it needs one and has none."""
    settings = dict(entry.settings)
    name = cls.file_name(part, settings)
    if name and not settings.get("path"):
        settings["path"] = str(state_dir / name)
    return settings


def _place(settings: dict[str, Any]) -> str:
    """Where it writes, without what may be secret; "" if its settings do not say."""
    for key in ("url", "endpoint", "address"):
        text = str(settings.get(key) or "")
        if "://" in text:  # of a sink of another package, it may not be a valid URL
            return re.split("[/?#]", text.partition("://")[2])[0].rpartition("@")[2]
        if text:
            return text.rpartition("@")[2]
    return next((str(settings[key]) for key in ("function", "path", "port", "to") if settings.get(key)), "")


def _for_requests(cls: type[Sink], level: int) -> int:
    if cls.people:
        return 0 if level <= SEVERITIES["debug"] else NEVER
    return level if cls.quiet else 0


def sink_class(id: str) -> type[Sink]:
    from meshd.connectors.registry import default_registry

    cls: type[Sink] = default_registry().get_connector(id, "observability")
    return cls


def _maker(id: str, settings: dict[str, Any]) -> Callable[[], Sink]:
    def make() -> Sink:
        from meshd.connectors.make import make_connector

        sink: Sink = make_connector("observability", id, settings)
        return sink

    return make
