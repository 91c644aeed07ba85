"""The error of a request for which no model could be asked, in words that help an app's developer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meshd.core.text.durations import ASK_AGAIN_IN, format_duration
from meshd.routing.decision.pipeline import Decision, Pipeline
from meshd.routing.decision.stages.base import Drop, listed
from meshd.routing.request.question import Question
from modelmesh.errors import InvalidRequestError, MeshError, NoActiveModelError, QueueFullError
from modelmesh.wording import short, told


class Consulted(NamedTuple):
    """The decision in one pool. If no model of a pool can be asked, the request continues with its fallback pools."""

    question: Question
    decision: Decision


def none_left(consulted: Sequence[Consulted], pipeline: Pipeline) -> MeshError:
    """The error of a request for which no model can be asked. It says which models could, or when one can."""
    question = consulted[0].question
    name = question.pool.name
    every = [Drop(each.question, dropped) for each in consulted for dropped in each.decision.dropped]
    # Those that the app may not use are not named, unless there is no other: then that is the error.
    drops = [drop for drop in every if drop.question.requester.may_see(drop.dropped.model)] or every
    own = pipeline.error(drops)
    if own is not None:
        return own
    reasons = {drop.dropped.model: drop.dropped.reason for drop in drops}
    alone = question.pool.members == (name,)  # a model asked for by its own name
    because = listed(reasons.items())
    if drops and all(drop.dropped.permanent for drop in drops):
        could = pipeline.able(question)
        what = f"{short(name)} cannot do this" if alone else f"No model of {short(name)} can do this"
        hint = f"{short(could[0])} could" if could else f"`meshctl explain {short(name)}` says why"
        return InvalidRequestError(
            told(f"{what}; {hint}.", *because, f"these could: {', '.join(could)}" if len(could) > 1 else ""),
            code="model_cannot",
            reasons=reasons,
            could=could,
        )
    # Models that could never do it do not help, even if they are up.
    waits = [pipeline.clears_in(drop.question, drop.dropped) for drop in drops]
    recovers = min((wait for wait in waits if wait is not None), default=None)
    what = f"{short(name)} cannot be asked now" if alone else f"No model of {short(name)} can be asked now"
    if not drops:
        what, then = f"The pool {short(name)} has no model", "`meshctl doctor` says what to add"
    elif recovers is None:
        then = f"`meshctl {'models' if alone else 'pools'} {short(name)}` says why"
    else:
        then = f"ask again in {format_duration(max(recovers, _TEST_TAKES))}"
    return NoActiveModelError(
        told(f"{what}; {then}.", *because),
        retry_after=None if recovers is None else max(recovers, _TEST_TAKES),
        pool=name,
        reasons=reasons,
        recovers_in=recovers,
    )


def no_room_in_time(reasons: dict[str, str], frees_in: float | None, *, waited: float, full: bool) -> QueueFullError:
    """A 429: no model had room in time, or the queue is full."""
    why = "The queue is full (daemon.max_queue)" if full else f"No model had room within {format_duration(waited)}"
    again = frees_in or ASK_AGAIN_IN
    message = told(f"{why}; ask again in {format_duration(max(again, 1.0))}.", *listed(reasons.items()))
    return QueueFullError(message, retry_after=again, reasons=reasons)


_TEST_TAKES = 1.0  # s: the shortest wait for a model that another request is testing
