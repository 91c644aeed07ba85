"""What the telemetry actor hears, besides events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshd.core.events.records import Outcome
from meshd.core.messaging.message import Message


class RequestsEnded(Message, frozen=True):
    """How requests ended → telemetry, in batches: each message wakes its thread."""

    outcomes: list[Any]


class OutsideUsed(Message, frozen=True):
    """What agents say that they used elsewhere → telemetry. uses: `OutsideUse`s. export: the same for an export that is
    sent again, and for no other; "": unknown."""

    uses: list[Any]
    export: str = ""


class QueryStatistics(Message, frozen=True):
    """→ telemetry; answered with a list of maps, one for each group. since, until: seconds before now.

    scope: one or several of the dimensions, separated by commas. name: only this value of the first of them. where:
    only rows with these values, dimension → value. of_spend: from what is kept longest
    (`meshd/telemetry/statistics/spend.py`).
    """

    scope: str
    name: str | None = None
    since: float | None = None
    until: float | None = None
    where: dict[str, str] = {}
    of_spend: bool = False


class LogWritten(Message, frozen=True):
    """A record of the daemon's own `logging` → telemetry, which writes it to the sinks."""

    at_ns: int
    severity: str
    logger: str
    text: str
    traceback: str = ""


class RecentEvents(Message, frozen=True):
    """→ telemetry; answered with a list of the last events, oldest first (200 are kept)."""

    types: frozenset[str] = frozenset()
    limit: int = 200


class RecentRequests(Message, frozen=True):
    """→ telemetry; answered with a list of `Entry`, one for each of the last `limit` requests that are wanted, oldest
    first (500 are kept). wanted: called in telemetry's thread."""

    wanted: Callable[[Outcome], bool]
    limit: int


class TelemetryStatus(Message, frozen=True):
    """→ telemetry; answered with a list of maps, one for each sink: sink, written, waiting, dropped, error."""


class RenderMetrics(Message, frozen=True):
    """→ telemetry; answered with the text that Prometheus reads, in bytes. gauges: the router's
    (`sdk.metrics.Family`)."""

    gauges: tuple[Any, ...]


class GaugesRead(Message, frozen=True):
    """The answer to ReadGauges, for sinks of metrics (→ telemetry). gauges: None if the router did not answer."""

    gauges: tuple[Any, ...] | None


class FlushTelemetry(Message, frozen=True):
    """Write out everything buffered; answered when it is done."""


class Subscribe(Message, frozen=True):
    """Give me events as they happen: `listener(event)` is called in the telemetry actor's thread."""

    listener: Any
    types: frozenset[str] = frozenset()


class Unsubscribe(Message, frozen=True):
    listener: Any


class TableLoaded(Message, frozen=True):
    """The answer to LoadTable, for an actor that does not wait for it. rows: None: they cannot be read yet, and follow
    when they can."""

    table: str
    rows: dict[str, dict[str, Any]] | None
