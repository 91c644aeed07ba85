"""Events and ended requests without the keys that apps and providers may have written into them.

Must never: change anything else.
"""

from __future__ import annotations

import msgspec

from meshd.core.events.records import Attempt, Event, Outcome
from meshd.telemetry.text.redaction import Redactor


def clean_event(event: Event, redactor: Redactor) -> Event:
    reason = redactor.text(event.reason) if event.reason else ""
    changed = redactor.value(event.changed) if event.changed else event.changed
    if reason == event.reason and changed == event.changed:
        return event
    return msgspec.structs.replace(event, reason=reason, changed=changed)


def clean_outcome(outcome: Outcome, redactor: Redactor) -> Outcome:
    """Without keys in what apps and providers wrote."""
    attempts, clean = outcome.attempts, not outcome.error
    for each in attempts:
        if each.message:
            attempts, clean = tuple([_clean_attempt(each, redactor) for each in attempts]), False
            break
    if clean and redactor.are_clean((outcome.asked, outcome.app, outcome.label)):
        return outcome
    asked, app, label = map(redactor.text, (outcome.asked, outcome.app, outcome.label))
    error = redactor.text(outcome.error)
    return msgspec.structs.replace(outcome, asked=asked, app=app, label=label, error=error, attempts=attempts)


def _clean_attempt(attempt: Attempt, redactor: Redactor) -> Attempt:
    return msgspec.structs.replace(attempt, message=redactor.text(attempt.message))
