"""The error of a request that has asked all models that it may ask."""

from __future__ import annotations

from meshd.core.events.answering import ProviderAnswering
from meshd.core.text.durations import format_duration
from meshd.routing.attempts.course import Course
from meshd.routing.attempts.errors.no_model import Consulted, none_left
from meshd.routing.attempts.errors.provider import (
    THE_APPS_OWN,
    as_another_was_refused,
    lacking,
    nothing_there,
    of_one_provider,
    passed_on,
)
from meshd.routing.availability import recovery
from meshd.routing.decision.stages.base import listed
from meshd.sdk.provider import FailureKind
from modelmesh.errors import AllProvidersExhaustedError, MeshError, RequestCancelledError, RequestTimeoutError
from modelmesh.wording import short, told

_SOON = 1.0  # s: a model on standby may be tested at any moment


def nothing_left(course: Course, consulted: list[Consulted], now: float) -> MeshError:
    """The error of a request that can neither ask nor wait for a model."""
    if course.attempts:
        return exhausted(course, now)
    if course.told_by is not None:
        model, availability = course.told_by
        rests_for = recovery.recovers_in(availability, now)
        operator = course.requester.operator
        return as_another_was_refused(model, course.provider_of(model), availability, rests_for, operator)
    return none_left(consulted, course.pipeline)


def timed_out(course: Course) -> MeshError:
    tried = listed((attempt.model, attempt.message or attempt.reason or "ok") for attempt in course.attempts)
    return RequestTimeoutError(
        told("No answer came before the request's deadline; ask again, or set a longer timeout.", *tried),
        attempts=course.book.as_maps(),
    )


def exhausted(course: Course, now: float) -> MeshError:
    failure = course.failure
    assert failure is not None, "nothing failed"
    if failure.kind is FailureKind.CANCELLED:
        return RequestCancelledError("The request was cancelled.", attempts=course.book.as_maps())
    lack = shortage(course)
    if lack is not None:
        return lack
    # If one of the models was only down, the request itself may be valid.
    if course.fatal or all(attempt.reason in THE_APPS_OWN or attempt.status == 409 for attempt in course.attempts):
        last = course.attempts[-1]
        lost = failure.status == 404 and course.state.provider(last.provider).answering is ProviderAnswering.NOTHING
        if lost and failure.kind is FailureKind.UNSUPPORTED:
            return nothing_there(failure, last, course.book.as_maps())
        return passed_on(failure, course.book.as_maps())
    if len(course.tries) == 1:
        rests_for = _soonest_of_the_tried(course, now) if failure.kind is FailureKind.QUOTA else None
        last = course.attempts[-1]
        return of_one_provider(failure, last, course.table.providers[last.provider], course.book.as_maps(), rests_for)
    reasons = listed((attempt.model, attempt.message) for attempt in course.attempts)
    soonest = _soonest_of_the_tried(course, now)
    when = "ask again later" if soonest is None else f"ask again in {format_duration(max(soonest, 1.0))}"
    return AllProvidersExhaustedError(
        told(f"Every model of {short(course.pools[0].name)} that could be asked failed; {when}.", *reasons),
        attempts=course.book.as_maps(),
        retry_after=soonest,
    )


def shortage(course: Course) -> MeshError | None:
    """The error, if this machine's own shortage ended it."""
    if course.failure is None or course.failure.kind is not FailureKind.LOCAL:
        return None
    return lacking(course.failure, course.book.as_maps())


def _soonest_of_the_tried(course: Course, now: float) -> float | None:
    """Seconds until the first of them may be asked again; None if that is unknown."""
    question, waits = course.question(now), []
    for model in course.tries:
        recovers = course.pipeline.recovers_in(question, course.table.models[model])
        if recovers is not None:
            waits.append(max(recovers, course.not_before.get(model, now) - now))
    soonest = min(waits, default=0.0)
    if not soonest and any(not course.pipeline.is_up(question, model) for model in course.tries):
        return _SOON if waits else None
    return soonest or None
