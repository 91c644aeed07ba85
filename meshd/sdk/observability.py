"""The interface of an observability connector (a sink), which writes entries.

Owns: `Entry` and the abstract `Sink`.
Must never: run on an actor's thread. A sink has a thread and a bounded queue of its own
(`meshd/telemetry/queue.py`), so it may block, and it may fail.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from meshd.host.plain_text import one_line

SEVERITIES = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing to write. Secrets are redacted before an entry is made; terminal control characters are escaped.

    stream: `event`, `request`, `log`, `statistics`, `metrics` or `trace`. message: one line for people. fields: all
    details, JSON-like; `pool`, `model`, `provider`, `request`, `app` are ids if present.
    """

    stream: str
    at_ns: int
    severity: str
    message: str
    fields: dict[str, Any] = {}

    def __post_init__(self) -> None:
        # It may repeat text from any program or provider.
        msgspec.structs.force_setattr(self, "message", one_line(self.message))

    @property
    def level(self) -> int:
        return SEVERITIES.get(self.severity, 20)


class NotNow(Exception):
    """Raised by a sink whose receiver said when to try again. after: seconds; 0: it did not say."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class Sink(ABC):
    """Every method but `status` runs in the sink's own thread. If `write` or `flush` raises, a new sink gets the same
    entries later."""

    quiet: ClassVar[bool] = True
    """Whether it gets only entries of the daemon's log level (like a screen or the journal), or all (like a file)."""

    people: ClassVar[bool] = False
    """Whether it is a screen, which shows request records only at log level debug."""
    buffered: ClassVar[bool] = False
    """Whether entries are safe only after `flush`. If that raises, the whole batch is written again."""
    metrics: ClassVar[bool] = False
    """Whether, as a sink of statistics, it gets readings of all metrics instead of rows: entries of the stream
    `metrics`, whose field `reading` is a `sdk.metrics.Reading`."""
    only_metrics: ClassVar[bool] = False
    """Whether it can do nothing with events and logs."""
    traces: ClassVar[bool] = False
    """Whether it takes traces: entries of the stream `trace`, whose field `spans` has `sdk.tracing.Span`s."""
    whole_requests: ClassVar[bool] = False
    """Whether it makes spans and log records of ended requests itself: entries of the stream `ended`, with an
    `Ended` of the daemon's own (`meshd/telemetry/otlp_out/batch.py`). Only for sinks of the daemon."""
    batch: ClassVar[int] = 500
    """How many entries are written before a `flush`, at most."""
    linger: ClassVar[float] = 0.0
    """How long entries may wait for others of their batch, in seconds."""
    lasting: ClassVar[bool] = False
    """Whether it is created at once, since it may have work to do before the first entry, and kept if writing fails."""

    @classmethod
    def file_name(cls, part: str, settings: Mapping[str, Any]) -> str:
        """The file name in the state directory to use as its `path`, if its settings give none; "" if it needs none.
        part: `routing`, `logging` or `statistics`."""
        return f"{part}.jsonl" if cls.buffered else ""

    @classmethod
    def fault(cls, settings: Mapping[str, Any], within: float) -> str:
        """Why a sink with these settings could not write, in words that follow its id; "": nothing is known. Called
        when a configuration is checked. within: seconds that it may take."""
        return ""

    @abstractmethod
    def write(self, entry: Entry) -> None:
        """Write one entry of any stream. May buffer until `flush`."""

    def flush(self) -> None:  # noqa: B027
        """Called after every batch."""

    def status(self) -> Mapping[str, Any]:
        """What it adds to `meshctl status`, if it passes entries on later: `waiting` and `dropped` (numbers of accepted
        entries), `error`. Called in other threads, so it must not wait."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Idempotent. May take a second."""
