"""What a request without room waits for, and in which queue.

Owns: `Wait`, the earliest time to try again, and the name of a request's queue.
Must never: decide who is next (`fair_queue.py`), sleep, read a clock or do I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from meshd.routing.attempts.errors.no_model import Consulted
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.standing import LONGEST_RETRY

if TYPE_CHECKING:
    from meshd.routing.request.question import Question
    from meshd.routing.table.specs import ModelSpec


@dataclass(slots=True)
class Wait:
    """Every model that could answer is at a limit. until: UTC seconds when there may be room, or another model may be
    back; None: when another request ends. reasons: model → why. soon: there may be room so soon that failing models are
    not tested before. resting: none is at a limit, and those that could answer rest, to be tried then. known: one of
    those has answered before, so that it may well come back.
    """

    until: float | None
    reasons: dict[str, str] = field(default_factory=dict)
    resting: bool = False
    known: bool = True
    soon: bool = False

    def no_later_than(self, times: Iterable[float]) -> Wait:
        return replace(self, until=min((*times, *(() if self.until is None else (self.until,))), default=None))


def wait_of(
    consulted: Collection[Consulted],
    pipeline: Pipeline,
    again: Mapping[str, float],
    now: float,
    without: Collection[str] = (),
) -> Wait | None:
    """If some models are only at a limit: until one of them may have room, or another that could answer is back. None
    if none is at a limit. again: model → when this request may ask it again (UTC s); without: models whose limits alone
    do not justify waiting, though the wait may end with them."""
    reasons: dict[str, str] = {}
    expected = [ready for ready in again.values() if ready > now]
    for question, decision in consulted:
        for drop in decision.dropped:
            if drop.stage.queued:
                if drop.model in without:
                    continue
                reasons[drop.model] = drop.reason
            wait = pipeline.clears_in(question, drop)
            # 0 for a model on standby: a test is running, or possible if no model has room.
            if wait or (wait is not None and drop.stage.queued):
                expected.append(now + wait)
    if not reasons:
        return None
    first = min(expected, default=None)
    soon = first is None or first <= now + LONGEST_RETRY
    return Wait(first, reasons, soon=soon).no_later_than(free_at(consulted, pipeline, now))


def free_at(consulted: Iterable[Consulted], pipeline: Pipeline, now: float) -> list[float]:
    """When (UTC s) any request may ask each of those that only time holds back: at the end of its whole cooldown,
    though it may be tested sooner."""
    drops = [(question, drop) for question, decision in consulted for drop in decision.dropped]
    waits = (pipeline.clears_in(question, drop, untested=True) for question, drop in drops)
    return [now + wait for wait in waits if wait]


def line_of(
    questions: Iterable[Question],
    pipeline: Pipeline,
    without: Collection[str],
    again: Mapping[str, float],
    only: Callable[[ModelSpec], bool] | None,
) -> str:
    """Requests that wait for the same models form one queue, in order. without: models that this request no longer
    asks; again: models that it asks at that time (UTC s) at the earliest; only: a further condition."""
    return "\n".join(
        f"{question.pool.name} {id} {again.get(id, '')}"
        for question in questions
        for id in question.pool.members
        if id not in without
        and (only is None or only(question.table.models[id]))
        and all(stage.objection(question.table.models[id], question) is None for stage in pipeline.permanent)
    )
