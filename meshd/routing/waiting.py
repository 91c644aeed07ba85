"""What a request that finds no room waits for, and in which line.

Owns: `Wait`, the earliest time at which it is worth trying again, and the name of a request's line.
Must never: decide who is next (`fair_queue.py`), sleep, read a clock or do I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from meshd.routing.endings import Consulted, comes_back
from meshd.routing.recovery import LONGEST_RETRY
from meshd.routing.stages import LimitStage, Stage

if TYPE_CHECKING:
    from meshd.routing.stages import Question
    from meshd.routing.table import ModelSpec


@dataclass(slots=True)
class Wait:
    """Everybody who could answer is at a limit. until: UTC seconds when there may be room, or another is back, None:
    when another request ends. crowds: model → why. soon: there may be room so soon, perhaps at any moment, that what
    fails is left in peace till then. resting: none is at a limit, and who could answer rests, to be tried then.
    known: one of those has answered before, so that it may well come back.
    """

    until: float | None
    crowds: dict[str, str] = field(default_factory=dict)
    resting: bool = False
    known: bool = True
    soon: bool = False

    def no_later_than(self, times: Iterable[float]) -> Wait:
        return replace(self, until=min((*times, *(() if self.until is None else (self.until,))), default=None))


def wait_of(
    consulted: Collection[Consulted], again: Mapping[str, float], now: float, without: Collection[str] = ()
) -> Wait | None:
    """Where some models are only at a limit: until one of them may have room, or another is back that could answer as
    well. None where none is at a limit. again: model → when this request may ask it again (UTC s); without: models
    whose limits are no reason to wait, though it may be over at their end."""
    crowds: dict[str, str] = {}
    expected = [ready for ready in again.values() if ready > now]
    for question, decision in consulted:
        for drop in decision.dropped:
            if drop.stage != LimitStage.name:
                wait = comes_back(question, drop) or None  # 0: a test is under way, or possible where nobody has room
            elif drop.model not in without:
                crowds[drop.model] = drop.reason
                wait = _frees_in(question, drop.model)
            else:
                continue
            if wait is not None:
                expected.append(now + wait)
    if not crowds:
        return None
    first = min(expected, default=None)
    soon = first is None or first <= now + LONGEST_RETRY
    return Wait(first, crowds, soon=soon).no_later_than(free_at(consulted, now))


def free_at(consulted: Iterable[Consulted], now: float) -> list[float]:
    """When (UTC s) each of those that cannot be asked now may be asked by anybody, as far as that is a matter of time
    alone: at the end of its whole rest, though it may be tested before."""
    found = []
    for question, decision in consulted:
        for drop in decision.dropped:
            if drop.stage == LimitStage.name:
                wait = _frees_in(question, drop.model)
            else:
                wait = comes_back(question, drop, untested=True)
            if wait:
                found.append(now + wait)
    return found


def _frees_in(question: Question, model: str) -> float | None:
    crowd = question.state.rates.crowd(question, question.table.models[model])
    return None if crowd is None else crowd.frees_in


def line_of(
    questions: Iterable[Question],
    stages: Iterable[Stage],
    without: Collection[str],
    again: Mapping[str, float],
    only: Callable[[ModelSpec], bool] | None,
) -> str:
    """Requests that wait for the same models stand in one line, in which none passes another. without: models that
    this request asks no more; again: those that it asks at that time (UTC s) at the earliest; only: a further
    condition."""
    permanent = [stage for stage in stages if stage.permanent]
    return "\n".join(
        f"{question.pool.name} {id} {again.get(id, '')}"
        for question in questions
        for id in question.pool.members
        if id not in without
        and (only is None or only(question.table.models[id]))
        and all(stage.objection(question.table.models[id], question) is None for stage in permanent)
    )
