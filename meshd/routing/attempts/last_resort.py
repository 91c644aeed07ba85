"""What a request does if no model may be asked now: which model it waits for, and which one on standby it tests.

Must never: begin an attempt (`plan.py`), wait or read a clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshd.routing.attempts.course import Course
from meshd.routing.attempts.errors.no_model import Consulted
from meshd.routing.attempts.waiting import Wait
from meshd.routing.availability import recovery, used_up
from meshd.routing.availability.state import availabilities
from meshd.routing.rates.headroom import NoRoom
from meshd.routing.request.question import Question
from meshd.routing.standing import INDEFINITELY, LONGEST_KEPT, Availability
from meshd.routing.table.specs import ModelSpec, PoolSpec
from meshd.sdk.provider import FailureKind

AT_LAST = 1.0  # s before its deadline, a request tests in parallel with a slow test


@dataclass(slots=True)
class Resting:
    """A model that may be tested if no other can answer. at: the earliest time (UTC s); INDEFINITELY: when another
    request ends and makes room. refuses: it is set aside for a cause that usually lasts. told: its provider asked for a
    longer pause, or refused all its keys."""

    model: ModelSpec
    question: Question
    at: float
    refuses: bool
    told: bool


def resting_models(course: Course, now: float) -> dict[str, Resting]:
    """The models to test if no other can answer: those whose cause may be over by now, or that used up their
    attempts."""
    scope, found = course.scope(), {}
    course.told_by = None
    for pool in course.pools:
        question = course.question(now, pool)
        for id in course.pipeline.preferred(question):
            model = course.table.models[id]
            if id in found or id in course.given_up or (scope is not None and not scope(model)):
                continue
            resting = _tested_from(course, model, question)
            if resting is not None:
                found[id] = resting
    return found


def known_times(resting: dict[str, Resting]) -> list[float]:
    """The known times (UTC s) at which they may be tested."""
    return [each.at for each in resting.values() if each.at < INDEFINITELY]


def wait_for(course: Course, resting: dict[str, Resting]) -> Wait:
    """The wait for one of them, or for the outcome of another request's test."""
    soon = "it has failed this request, and is asked again soon"
    reasons = {id: course.pipeline.down_because(each.question, each.model) or soon for id, each in resting.items()}
    known = any(course.state.model(id).has_answered for id in resting)
    return Wait(min(known_times(resting), default=None), reasons, resting=True, known=known)


def soonest(course: Course, consulted: list[Consulted]) -> tuple[Question, ModelSpec] | None:
    """The one to wait for among those that failed this request and may be asked again, at worst one that its failure
    put on standby."""
    best: tuple[bool, float] | None = None
    found: tuple[Question, ModelSpec] | None = None
    for question in (each.question for each in consulted):
        for id, ready in course.not_before.items():
            model = course.table.models[id]
            if id in course.spent or id not in question.pool.positions or not course.may_be_asked_again(id):
                continue
            if _is_tested(course, model, question.pool, question.now):
                continue
            no_room = course.state.rates.no_room(question, model)
            if (no_room is not None and not no_room.told) or not _fits(course, model, question):
                continue
            fits_from = _has_room_at(no_room, question.now)
            if fits_from >= course.deadline:
                continue
            if fits_from > question.now + LONGEST_KEPT and question.pool.retry.max_attempts > 1:
                continue
            course.not_before[id] = ready = max(ready, fits_from)
            rank = (not course.pipeline.is_up(question, id), ready)
            if best is None or rank < best:
                best, found = rank, (question, model)
    return found


def _tested_from(course: Course, model: ModelSpec, question: Question) -> Resting | None:
    """When this request may test the model, even if another is doing so; None: not at all."""
    state, now, once = course.state, question.now, question.pool.retry.max_attempts <= 1
    if not course.may_test(model.id, question.pool) or state.model(model.id).deactivated:
        return None
    if course.provider_of(model).disabled:
        return None
    at = now if course.is_back(model.id) else max(course.not_before.get(model.id, now), now)
    told = [] if once else state.rates.rests(question, model)
    believed = once or used_up.has_calendar(question.pool.recovery, course.provider_of(model))
    refuses = False
    for availability in (*availabilities(state, question.pool.name, model.id, model.provider), *told):
        wait = recovery.tested_in(availability, now)
        if wait is None:
            return None
        if recovery.refuses(availability, now):
            refuses = True
            if (believed and availability.kind is FailureKind.QUOTA) or _is_told_by(course, model, availability):
                return None
        elif availability.standby and not recovery.passing(availability) and wait > 0:
            return None
        at = max(at, now + wait)
        if recovery.tested_by_another(availability, course.book, now):
            at = max(at, min(availability.tested_at + recovery.LONGEST_TEST, course.deadline - AT_LAST))
    if any(stage.objection(model, question) is not None for stage in course.pipeline.at_test):
        return None
    if not _fits(course, model, question):
        return None
    at = max(at, _has_room_at(state.rates.no_room(question, model, resting=once), now))
    return None if course.deadline <= at < INDEFINITELY else Resting(model, question, at, refuses, bool(told))


def _is_told_by(course: Course, model: ModelSpec, availability: Availability) -> bool:
    """Whether another request has just been refused, so that this one need not ask."""
    if model.id in course.failed_at:
        return False
    if not recovery.refused_since(availability, course.arrived, course.state.model(model.id).answered):
        return False
    course.told_by = model, availability
    return True


def _fits(course: Course, model: ModelSpec, question: Question) -> bool:
    """Whether the model could take the request, however long it has to wait for room."""
    stages = course.pipeline.at_retry
    return all(stage.queued or stage.objection(model, question) is None for stage in stages)


def _has_room_at(no_room: NoRoom | None, now: float) -> float:
    """From when on (UTC s) the model has room; INDEFINITELY: when another request ends."""
    if no_room is None:
        return now
    return INDEFINITELY if no_room.frees_in is None else now + no_room.frees_in


def _is_tested(course: Course, model: ModelSpec, pool: PoolSpec, now: float) -> bool:
    """Whether another request is testing it."""
    return any(
        recovery.tested_by_another(availability, course.book, now)
        for availability in availabilities(course.state, pool.name, model.id, model.provider)
    )
