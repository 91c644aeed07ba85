"""What a request that finds no room waits for, and in which line.

Owns: `Wait`, the earliest time at which it is worth trying again, and the name of a request's line.
Must never: decide who is next (`fair_queue.py`), sleep, read a clock or do I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshd.routing.endings import Consulted, comes_back
from meshd.routing.stages import LimitStage, Stage

if TYPE_CHECKING:
    from meshd.routing.stages import Question
    from meshd.routing.table import ModelSpec


@dataclass(slots=True)
class Wait:
    """Everybody who could answer is at a limit. until: UTC seconds when there may be room, None: when another
    request ends. crowds: model → why. resting: none is at a limit, and who could answer rests, to be tried then.
    known: one of those has answered before, so that it may well come back.
    """

    until: float | None
    crowds: dict[str, str] = field(default_factory=dict)
    resting: bool = False
    known: bool = True


def wait_of(consulted: Iterable[Consulted], again: Mapping[str, float], now: float) -> Wait | None:
    """Where some models are only at a limit: until one of them may have room, or another is back that could answer as
    well. None where none is at a limit. again: model → when this request may ask it again (UTC s)."""
    crowds: dict[str, str] = {}
    until = [ready for ready in again.values() if ready > now]
    for question, decision in consulted:
        for drop in decision.dropped:
            if drop.stage == LimitStage.name:
                crowds[drop.model] = drop.reason
                crowd = question.state.rates.crowd(question, question.table.models[drop.model])
                wait = None if crowd is None else crowd.frees_in
            else:
                wait = comes_back(question, drop) or None  # 0: it is being tested, and the test's end says how it went
            if wait is not None:
                until.append(now + wait)
    return Wait(min(until, default=None), crowds) if crowds else None


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
