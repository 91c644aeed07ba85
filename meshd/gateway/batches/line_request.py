"""One line of a batch as a request of its app.

Owns: the request, and which errors are temporary. Must never: keep a result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from meshd.core.caller import Caller
from meshd.formats.headers import IN_JSON
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.exchange import Deadline, Request
from meshd.gateway.responses.replies import BackgroundReply
from meshd.host import clock
from modelmesh.errors import APITimeoutError, BudgetExceededError, MeshError

MOST_TRIES = 3
"""The most requests for one line, if they fail at a provider in a way that may be temporary."""
_SOON = 1.0  # s


class Ended(NamedTuple):
    """How a request ended. begun: it was sent to a provider."""

    answer: bytes
    error: MeshError | None
    begun: bool


def ask(
    admission: Admission, caller: Caller, request_id: bytes, path: str, body: bytes, ended: Callable[[Ended], None]
) -> None:
    """Begin a request that gives way to others. ended: called once, in the turn in which it is settled."""

    def done(answer: bytes, error: MeshError | None) -> None:
        admission.ended(request_id, reply, None)
        ended(Ended(answer, error, request.begun))

    reply = BackgroundReply(done)
    arrived = clock.now()
    request = Request(
        request_id,
        "POST",
        path,
        body,
        reply,
        headers=IN_JSON,
        caller=caller,
        deadline=Deadline.after(arrived, admission.limits.request_timeout),
        arrived=arrived,
    )
    request.gives_way = True
    admission.admit(request, len(body), admission.rights(caller))


def passes_in(ended: Ended, tries: int) -> float | None:
    """Seconds after which the line may be sent again; None if its error is its result. tries: requests for it that were
    sent to a provider."""
    error = ended.error
    if error is None or error.code == "request_interrupted":
        return None
    wait = _SOON if error.retry_after is None else max(error.retry_after, 0.0)
    if isinstance(error, BudgetExceededError):
        return wait if error.code == BudgetExceededError.code else None
    if error.status_code == 429:  # nothing is billed for it
        return wait
    billed = ended.begun and isinstance(error, APITimeoutError)  # perhaps
    if billed or not error.retryable:
        return None
    return wait if not ended.begun or tries < MOST_TRIES else None
