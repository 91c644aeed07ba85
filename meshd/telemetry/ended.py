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
from meshd.core.seconds import to_nanos
from meshd.host import clock
from meshd.sdk.observability import Entry
from meshd.telemetry.carry_over import Kept
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_out.batch import ENDED, Ended, encode
from meshd.telemetry.queue import SinkQueue
from meshd.telemetry.records import request_entry
from meshd.telemetry.sinks import Ways
from meshd.telemetry.spans import NOTHING_SAID, trace_entry
from meshd.telemetry.text.cleaning import clean_outcome

logger = logging.getLogger("meshd.telemetry")
_MORE = 400
"""Bytes of memory that an entry takes besides what is encoded, about."""


def tell_of(ended: Iterable[tuple[Outcome, Content | None]], kept: Kept) -> None:
    """Requests as they are, but with their contents aside."""
    together: dict[SinkQueue, list[Ended]] = {}
    sinks, redactor, samples = kept.sinks, kept.redactor, kept.sample_rate < 1.0
    before = 200, True
    usual = sinks.ways(*before)
    for outcome, content in ended:
        trace = outcome.trace
        kind = outcome.status, trace is not None and trace.sampled
        if kind != before:
            before, usual = kind, sinks.ways(*kind)
        ways = usual
        if ways is not None and samples and outcome.status == 200 and not kept.sampled():
            ways = ways.without_record()
        if ways is None:
            continue
        if content is not None or ways.spans or ways.record:
            _tell_of(outcome, content, ways, kept)
            continue
        outcome = clean_outcome(outcome, redactor)
        for queue, traced, logged in ways.whole:
            together.setdefault(queue, []).append(Ended(outcome, traced, logged))
    for queue, wholes in together.items():
        _put(queue, wholes, kept.metrics.names)


def _tell_of(outcome: Outcome, content: Content | None, ways: Ways, kept: Kept) -> None:
    """One with contents may be large, and is queued alone."""
    sinks, trace, names = kept.sinks, outcome.trace, kept.metrics.names
    if trace is not None and not trace.sampled:
        trace = None
    said = kept.content_attributes(content) if content is not None and trace is not None else NOTHING_SAID
    found = kept.content_fields(content) if content is not None else NOTHING_SAID
    outcome = clean_outcome(outcome, kept.redactor)
    if trace is not None and ways.spans:
        sinks.put(*trace_entry(outcome, trace, names, clock.ahead(), said))
    if ways.record:
        sinks.put(request_entry(outcome, found))
    for queue, traced, logged in ways.whole:
        whole = Ended(outcome, traced, logged, said if traced else NOTHING_SAID, found if logged else NOTHING_SAID)
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
    entry = Entry(ENDED, to_nanos(wholes[0].outcome.at), "info", "", fields)
    queue.put(entry, len(encoded) + _MORE, len(wholes))
