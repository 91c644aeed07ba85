"""The telemetry actor's state that survives its crash: it moves to the next life as a whole."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshd.core.events.content import Content
from meshd.core.events.records import Event
from meshd.spend.recovered import MOST_SEEN
from meshd.telemetry.last_requests import LastRequests
from meshd.telemetry.metrics.metrics import Metrics
from meshd.telemetry.otlp_in.once import Once
from meshd.telemetry.sinks import Sinks
from meshd.telemetry.statistics.statistics import Statistics
from meshd.telemetry.text.redaction import Redactor

if TYPE_CHECKING:
    from meshd.telemetry.text.content import ContentReader

RECENT = 200


@dataclass(slots=True, eq=False)
class Kept:
    """seen: the requests counted recently, and when. recent: the last events. requests: the last requests. restored:
    stored data has been read, so it may be overwritten. once: of what agents report. reader: if contents are logged.
    observability: the section in force."""

    sinks: Sinks
    statistics: Statistics = field(default_factory=Statistics)
    metrics: Metrics = field(default_factory=Metrics)
    redactor: Redactor = field(default_factory=Redactor)
    requests: LastRequests = field(default_factory=LastRequests)
    recent: deque[Event] = field(default_factory=lambda: deque(maxlen=RECENT))
    listeners: dict[Any, frozenset[str]] = field(default_factory=dict)
    flush_interval: float = math.inf  # s; a configuration says how often
    metrics_interval: float = math.inf
    committed: bool = False
    restored: bool = False
    observability: Any = None
    started: float = 0.0
    once: Once = field(default_factory=lambda: Once(0.0))
    reader: ContentReader | None = None
    traces_content: bool = False
    sample_rate: float = 1.0
    seen: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MOST_SEEN))

    def log_requests(self, observability: Any) -> None:
        """From now on, as the configuration says."""
        logging = observability.logging
        self.sample_rate = logging.sample_rate
        self.traces_content = observability.tracing.content
        self.reader = None
        if logging.level != "metadata" or self.traces_content:
            from meshd.telemetry.text.content import ContentReader  # it knows every API's conversations

            self.reader = ContentReader(self.redactor, logging.level, logging.max_payload_size, logging.redact_personal)

    def content_attributes(self, content: Content | None) -> dict[str, str]:
        """What a trace says of a request's content."""
        if content is None or self.reader is None or not self.traces_content:
            return {}
        return self.reader.attributes_of(content)

    def content_fields(self, content: Content | None) -> dict[str, Any]:
        """What the log says of a request's content, which is released."""
        if content is None:
            return {}
        if self.reader is not None:
            return self.reader.fields_of(content)
        content.release()
        return {}

    def sampled(self) -> bool:
        """Whether an answered request is to be logged. It is drawn here: apps choose their requests' ids."""
        return self.sample_rate >= 1.0 or random.random() < self.sample_rate
