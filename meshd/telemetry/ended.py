"""What sinks are told of an ended request: spans, a record of the log, or all of it, to make both elsewhere.

Owns: which of these each sink gets. Must never: tell anything that is not redacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.core.events.content import Content
from meshd.core.events.records import Outcome
from meshd.host import clock
from meshd.sdk.observability import SEVERITIES, Entry
from meshd.telemetry.carry_over import Kept
from meshd.telemetry.otlp_out.batch import ENDED, Ended
from meshd.telemetry.queue import fields_size
from meshd.telemetry.records import clean_outcome, request_entry, severity_of_request
from meshd.telemetry.sinks import REQUESTS, TRACES, WholeRoute
from meshd.telemetry.spans import severity_of, trace_entry

_BYTES, _BYTES_OF_ATTEMPT = 2000, 1000
"""Of memory that an outcome takes, about, and an attempt with its calls."""


def tell_of(outcome: Outcome, content: Content | None, kept: Kept) -> None:
    """outcome: as it is, without its content."""
    sinks, trace = kept.sinks, outcome.trace
    severity, of_record = severity_of(outcome), severity_of_request(outcome)
    traced = trace is not None and trace.sampled
    told = [each for each in sinks.whole if traced and SEVERITIES[severity] >= each.traced]
    spans = traced and sinks.wants(TRACES, severity)
    logged = [each for each in sinks.whole if SEVERITIES[of_record] >= each.logged]
    record = sinks.wants(REQUESTS, of_record)
    if (logged or record) and outcome.status == 200 and not kept.sampled():
        logged, record = [], False
    if not (told or spans or logged or record):
        return
    said = kept.content_attributes(content) if told or spans else {}
    found = kept.content_fields(content) if logged or record else {}
    outcome = clean_outcome(outcome, kept.redactor)
    if trace is not None and spans:
        sinks.put(*trace_entry(outcome, trace, kept.metrics.names, clock.ahead(), said))
    if record:
        sinks.put(request_entry(outcome, found))
    for route in sinks.whole:
        spans, record = route in told, route in logged
        if spans or record:
            _put(route, Ended(outcome, spans, record, said if spans else {}, found if record else {}), kept)


def _put(route: WholeRoute, ended: Ended, kept: Kept) -> None:
    outcome = ended.outcome
    size = _BYTES + _BYTES_OF_ATTEMPT * len(outcome.attempts) + len(outcome.error) + _contents(ended)
    fields = {"ended": ended, "names": kept.metrics.names}
    route.queue.put(Entry(ENDED, int(outcome.at * 1e9), severity_of(outcome), "", fields), size)


def _contents(ended: Ended) -> int:
    both: tuple[Mapping[str, Any], ...] = (ended.said, ended.content)
    return sum(map(fields_size, both)) if ended.said or ended.content else 0
