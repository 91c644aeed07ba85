"""What sinks are told of an ended request: spans, a record of the log, or all of it, to make both elsewhere.

Owns: which of these each sink gets. Must never: tell anything that is not redacted.

The whole of it is encoded here, at once: many small objects that live until a batch is sent would slow the allocations
of the requests after it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from meshd.core.events.content import Content
from meshd.core.events.records import Outcome
from meshd.host import clock
from meshd.sdk.observability import Entry
from meshd.telemetry.carry_over import Kept
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_out.batch import ENDED, Ended, encode
from meshd.telemetry.queue import SinkQueue
from meshd.telemetry.records import clean_outcome, request_entry, severity_of_request
from meshd.telemetry.sinks import REQUESTS, TRACES
from meshd.telemetry.spans import NOTHING_SAID, severity_of, trace_entry

logger = logging.getLogger("meshd.telemetry")
_MORE = 400
"""Bytes of memory that an entry takes besides what is encoded, about."""


def tell_of(ended: Iterable[tuple[Outcome, Content | None]], kept: Kept) -> None:
    """Requests as they are, but with their contents aside."""
    together: dict[SinkQueue, list[Ended]] = {}
    for outcome, content in ended:
        _tell_of(outcome, content, kept, together)
    for queue, wholes in together.items():
        _put(queue, wholes, kept.metrics.names)


def _tell_of(outcome: Outcome, content: Content | None, kept: Kept, together: dict[SinkQueue, list[Ended]]) -> None:
    """together: what queues are to get as one entry; one with contents may be large, and goes alone."""
    sinks, trace, names = kept.sinks, outcome.trace, kept.metrics.names
    severity, of_record = severity_of(outcome), severity_of_request(outcome)
    if trace is not None and not trace.sampled:
        trace = None
    spans, record = trace is not None and sinks.wants(TRACES, severity), sinks.wants(REQUESTS, of_record)
    routes = sinks.whole_for(severity if trace is not None else "", of_record)
    if (record or routes) and outcome.status == 200 and not kept.sampled():
        record, routes = False, [(queue, traced, False) for queue, traced, _ in routes if traced]
    if not (spans or record or routes):
        return
    said = kept.content_attributes(content) if content is not None and trace is not None else NOTHING_SAID
    found = kept.content_fields(content) if content is not None else NOTHING_SAID
    outcome = clean_outcome(outcome, kept.redactor)
    if trace is not None and spans:
        sinks.put(*trace_entry(outcome, trace, names, clock.ahead(), said))
    if record:
        sinks.put(request_entry(outcome, found))
    for queue, traced, logged in routes:
        whole = Ended(outcome, traced, logged, said if traced else NOTHING_SAID, found if logged else NOTHING_SAID)
        if content is None:
            together.setdefault(queue, []).append(whole)
        else:
            _put(queue, [whole], names)


def _put(queue: SinkQueue, wholes: list[Ended], names: Names) -> None:
    try:
        encoded = encode(wholes)
    except (TypeError, ValueError, OverflowError) as error:
        if len(wholes) == 1:
            logger.warning("a request cannot be told to %s: %s", queue.name, error)
        else:
            for whole in wholes:
                _put(queue, [whole], names)
        return
    fields = {"ended": encoded, "count": len(wholes), "names": names}
    entry = Entry(ENDED, int(wholes[0].outcome.at * 1e9), "info", "", fields)
    queue.put(entry, len(encoded) + _MORE, len(wholes))
