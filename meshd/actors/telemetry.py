"""The telemetry actor: events, request records, log records and statistics, for sinks and queries.

Owns: sinks, statistics, the last events, live listeners.
Must never: slow down a sender. Everything arrives by `tell`; sinks have queues and threads of their own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.actors.base.replies import Forward
from meshd.actors.prepare import Prepare
from meshd.compilation.before_start.sinks import objections_to
from meshd.connectors.observability.prometheus.exposition import text_of
from meshd.core.events.records import Event
from meshd.core.messaging.mailboxes import Directory
from meshd.core.seconds import to_nanos
from meshd.sdk.metrics import Family, Reading
from meshd.sdk.observability import Entry
from meshd.spend.recovered import COVERED, LOOK_BACK, LOST, MOST_SEEN, Covered, LostAttempt
from meshd.state.directory import state_dir_of
from meshd.telemetry import records
from meshd.telemetry.carry_over import Kept
from meshd.telemetry.ended import tell_of
from meshd.telemetry.logs import set_log_level
from meshd.telemetry.lost_outcomes import outcomes_of
from meshd.telemetry.metrics import own
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_in.once import Once
from meshd.telemetry.sinks import METRICS, STATISTICS, Sinks
from meshd.telemetry.text.cleaning import clean_event, clean_outcome
from meshd.telemetry.text.redaction import secrets_in
from modelmesh.wording import counted

logger = logging.getLogger("meshd.telemetry")
_FLUSH, _METRICS = "flush", "metrics"
WAIT_FOR_STORED = 300.0  # s to wait for stored statistics before overwriting them
_LAST_WRITES = 1.5  # s that sinks may take to write at the end
_FLUSHED_WITHIN = 2.0  # s


class TelemetryActor(MeshActor):
    """log_level: from the command line; it overrides the configuration's. Ask it FlushTelemetry before the state actor
    stops, which has to store the statistics."""

    name: ClassVar[str] = "telemetry"
    handlers: ClassVar[dict[type, str]] = {
        messages.RequestsEnded: "requests_ended",
        Event: "event",
        messages.OutsideUsed: "outside_used",
        messages.LogWritten: "log_written",
        messages.QueryStatistics: "query",
        messages.RecentEvents: "recent_events",
        messages.RecentRequests: "recent_requests",
        messages.TelemetryStatus: "status",
        messages.RenderMetrics: "render_metrics",
        messages.GaugesRead: "gauges_read",
        messages.Subscribe: "subscribe",
        messages.Unsubscribe: "unsubscribe",
        messages.FlushTelemetry: "flush",
        messages.TableLoaded: "table_loaded",
        Prepare: "prepare",
        messages.Commit: "commit",
        messages.Discard: "discard",
        messages.Tick: "ticked",
    }

    def __init__(
        self,
        directory: Directory,
        *,
        log_level: str | None = None,
        state_dir: str | Path | None = None,
        private_dir: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(directory)
        self._log_level = log_level
        self._state_dir = Path(state_dir) if state_dir else None
        self._private_dir = private_dir
        self._now = now
        self._prepared: Any = None
        self._kept = Kept(Sinks(self._sink_failed), started=now(), once=Once(now()))

    def legacy(self) -> Any:
        return self._kept, self._prepared

    def inherit(self, legacy: Any) -> None:
        if legacy is not None:
            self._kept, self._prepared = legacy

    def on_start(self) -> None:
        if self._kept.committed:
            self.tick(_FLUSH, self._kept.flush_interval)
            self._read_metrics()

    def on_stop(self) -> None:
        self._save_statistics()
        self._flush_statistics()
        self._kept.sinks.close(_LAST_WRITES)

    # -- configuration --------------------------------------------------------------------------------

    def prepare(self, message: Prepare) -> tuple[str, ...]:
        self._prepared = message.running
        observability = message.running.config.observability
        if observability == self._kept.observability:  # also what discovery found comes this way
            return ()
        return tuple(map(str, objections_to(observability)))

    def commit(self, message: messages.Commit) -> None:
        generation, self._prepared = self._prepared, None
        if generation is None:
            return
        kept, config = self._kept, generation.config
        state_dir = state_dir_of(config, self._state_dir, self._private_dir)
        level = self._log_level or config.daemon.log_level
        set_log_level(level)
        kept.redactor.learn(secrets_in(generation))
        kept.observability = config.observability
        kept.sinks.configure(config.observability, level, state_dir)
        kept.log_requests(config.observability)
        kept.statistics.scopes = tuple(config.observability.statistics.scopes)
        kept.statistics.retention = config.observability.statistics.retention
        kept.metrics.names = Names.of(generation.table)
        kept.statistics.spend.retention = config.observability.statistics.spend_retention
        kept.flush_interval = max(1.0, config.observability.statistics.flush_interval)
        if not kept.committed:
            kept.committed = True
            # Not awaited: the state actor answers into this actor's mailbox.
            self.directory.send("state", messages.LoadTable("statistics"), self._takes_stored())
        self.tick(_FLUSH, kept.flush_interval)
        kept.metrics_interval = max(1.0, config.observability.statistics.metrics_interval)
        self._read_metrics()

    def discard(self, message: messages.Discard) -> None:
        self._prepared = None

    # -- what it is told --------------------------------------------------------------------------------

    def requests_ended(self, message: messages.RequestsEnded) -> None:
        kept, now = self._kept, self._now()
        ended = []
        for outcome in message.outcomes:
            kept.statistics.record(outcome, now)
            kept.once.served(outcome)
            kept.metrics.count(outcome)
            kept.seen.append((now, outcome.request_id))
            content = outcome.content
            if content is not None:
                outcome = msgspec.structs.replace(outcome, content=None)
            kept.requests.add(outcome)
            ended.append((outcome, content))
        tell_of(ended, kept)

    def outside_used(self, message: messages.OutsideUsed) -> None:
        kept, now = self._kept, self._now()
        if message.uses and kept.once.came_before(message.uses[0].user, message.export):
            return
        for use in message.uses:
            new = kept.once.new(use)
            if new is not None:
                kept.statistics.spend.record_outside(new, now)

    def event(self, message: Event) -> None:
        kept = self._kept
        message = clean_event(message, kept.redactor)
        kept.statistics.event(message, self._now())
        kept.metrics.event(message)
        kept.recent.append(message)
        for listener, types in list(kept.listeners.items()):
            if not types or message.type in types:
                try:
                    listener(message)
                except Exception as error:
                    del kept.listeners[listener]
                    logger.warning("a listener to events failed and is not called again: %r", error)
        if kept.sinks.wants_event(message.type, message.severity):
            kept.sinks.put(records.event_entry(message))

    def log_written(self, message: messages.LogWritten) -> None:
        kept = self._kept
        if not kept.sinks.wants("log", message.severity):
            return
        try:
            kept.sinks.put(records.log_entry(message, kept.redactor))
        except Exception:
            return

    def subscribe(self, message: messages.Subscribe) -> None:
        self._kept.listeners[message.listener] = message.types

    def unsubscribe(self, message: messages.Unsubscribe) -> None:
        self._kept.listeners.pop(message.listener, None)

    # -- what it is asked -------------------------------------------------------------------------------

    def query(self, message: messages.QueryStatistics) -> list[dict[str, Any]]:
        statistics = self._kept.statistics
        return statistics.query(
            message.scope,
            message.name,
            message.since,
            self._now(),
            until=message.until,
            where=message.where,
            of_spend=message.of_spend,
        )

    def recent_events(self, message: messages.RecentEvents) -> list[Event]:
        found = [event for event in self._kept.recent if not message.types or event.type in message.types]
        return found[-message.limit :] if message.limit > 0 else []

    def recent_requests(self, message: messages.RecentRequests) -> list[Entry]:
        kept = self._kept
        newest = islice(filter(message.wanted, reversed(kept.requests)), message.limit)
        return [records.request_entry(clean_outcome(outcome, kept.redactor)) for outcome in newest][::-1]

    def status(self, message: messages.TelemetryStatus) -> list[dict[str, Any]]:
        return self._kept.sinks.status()

    def render_metrics(self, message: messages.RenderMetrics) -> bytes:
        return text_of(self._families(message.gauges)).encode()

    def _families(self, gauges: Iterable[Family]) -> Iterator[Family]:
        yield from gauges
        yield from self._kept.metrics.families()
        yield from own.of_sinks(self._kept.sinks.status())
        yield from own.of_the_process()

    def _read_metrics(self) -> None:
        """For sinks of metrics, if there are any; the router is not waited for."""
        if self._kept.sinks.wants(METRICS, "info"):
            self.directory.send(
                "router", messages.ReadGauges(), Forward(self.directory, self.name, messages.GaugesRead, None)
            )
            self.tick(_METRICS, self._kept.metrics_interval)
        else:
            self.cancel_tick(_METRICS)

    def gauges_read(self, message: messages.GaugesRead) -> None:
        kept, now = self._kept, to_nanos(self._now())
        reading = Reading(to_nanos(kept.started), now, tuple(self._families(message.gauges or ())))
        kept.sinks.put_reading(Entry(METRICS, now, "info", "", {"reading": reading}))

    def flush(self, message: messages.FlushTelemetry) -> None:
        self._save_statistics()
        self._flush_statistics()
        self._kept.sinks.drain(_FLUSHED_WITHIN)

    # -- statistics -------------------------------------------------------------------------------------

    def ticked(self, message: messages.Tick) -> None:
        if message.what == _METRICS:
            self._read_metrics()
            return
        self._save_statistics()
        self._flush_statistics()
        self.tick(_FLUSH, self._kept.flush_interval)

    def _flush_statistics(self) -> None:
        kept, now = self._kept, self._now()
        rows = kept.statistics.flush(now)
        if kept.sinks.wants(STATISTICS, "debug"):
            for row in rows:
                kept.sinks.put(records.statistics_entry(row, to_nanos(now)))

    def table_loaded(self, message: messages.TableLoaded) -> None:
        if message.rows is not None and message.table == "statistics" and not self._kept.restored:
            self._kept.restored = True
            rows = dict(message.rows)
            rows.pop(COVERED, None)
            lost = rows.pop(LOST, {}).get("attempts", [])
            bad = self._kept.statistics.restore(rows)
            if bad:
                logger.warning("%s of statistics: invalid, and ignored", counted(bad, "stored row"))
            if lost:
                now = self._now()
                for outcome in outcomes_of(msgspec.convert(lost, list[LostAttempt])):
                    self._kept.statistics.record(outcome, outcome.at)
                    self._kept.seen.append((now, outcome.request_id))
                self._save_statistics()

    def _takes_stored(self) -> Forward:
        return Forward(self.directory, self.name, lambda rows: messages.TableLoaded("statistics", rows), {})

    def _save_statistics(self) -> None:
        kept = self._kept
        if not kept.restored and self._now() - kept.started < WAIT_FOR_STORED:
            return
        rows = dict(kept.statistics.changes(self._now()))
        self.tell("state", messages.StatisticsChanged(rows | {COVERED: self._covered()}))

    def _covered(self) -> dict[str, Any]:
        seen, now = self._kept.seen, self._now()
        full = len(seen) == MOST_SEEN
        while seen and seen[0][0] < now - LOOK_BACK:
            seen.popleft()
            full = False
        since = seen[0][0] if full else now - LOOK_BACK
        found: dict[str, Any] = msgspec.to_builtins(Covered(now, since, frozenset(request for _, request in seen)))
        return found

    def _sink_failed(self, sink: str, error: str) -> None:
        # In the sink's thread.
        text = f"the sink {sink} cannot write ({error}); its entries wait, and are dropped beyond a limit"
        self.directory.tell(self.name, messages.LogWritten(time.time_ns(), "warning", logger.name, text))
