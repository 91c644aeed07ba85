"""The strategy that keeps a session at one model.

Owns: `SessionStickiness`, and which sessions have moved, for how long (`session.ttl`).
Must never: remember any other session: its model follows from its name and the pool's members.

Rule: docs/routing.md, Strategies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshd.routing.decision.strategies.base import Context, Derived, InContext
from meshd.routing.decision.strategies.preference import StickUntilFailure
from meshd.routing.request.question import Question
from meshd.routing.request.rendezvous import key_of, numbers
from meshd.routing.table.specs import PoolSpec, RoutingTable


class _Names(NamedTuple):
    """weights: None if all are equal."""

    encoded: tuple[bytes, ...]
    weights: tuple[float, ...] | None


def _names(table: RoutingTable, pool: PoolSpec) -> _Names:
    weights = tuple(table.models[model].weight for model in pool.members)
    encoded = tuple(model.encode() for model in pool.members)
    return _Names(encoded, None if len(set(weights)) == 1 else weights)


class SessionStickiness(InContext):
    """Rendezvous hashing (`routing/request/rendezvous.py`) over the members. Requests without a session stick until
    failure.

    With `session.ttl`, a session that moved because its model was down stays there until it has been quiet for that
    long, instead of jumping back in between. Only these are remembered (`PoolState.moved`), at most `MOST_MOVED` in a
    pool: the user who has most of them loses the one that has been quiet longest; a restart forgets them all."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._names = Derived(_names)
        self._default = StickUntilFailure(context)

    def order(self, question: Question) -> Iterator[str]:
        session, members = question.requester.session, question.pool.members
        if not session or not members:
            yield from self._default.order(question)
            return
        moved = self._moved_to(question, session)
        if moved is not None:
            yield moved
        drawn = numbers(*self._names.of(question), session)
        first = max(range(len(members)), key=drawn.__getitem__)
        if members[first] != moved:
            yield members[first]
        for at in sorted(range(len(members)), key=drawn.__getitem__, reverse=True):
            if at != first and members[at] != moved:
                yield members[at]

    def chosen(self, question: Question, model: str) -> str | None:
        if not question.requester.session:
            return self._default.chosen(question, model)
        if question.pool.session.ttl is not None:
            self._keep(question, model, question.pool.session.ttl)
        return None

    def _keep(self, question: Question, model: str, ttl: float) -> None:
        """Record that the session has moved to `model`, or is still there."""
        session = question.requester.session
        stands = next(self.order(question))
        moves = model != stands and not self._is_up(question, stands)
        if moves or (model == stands and self._moved_to(question, session) is not None):
            pool, key = self._state.pool(question.pool.name), key_of(session)
            pool.moved[key] = (model, question.now + ttl)
            pool.moved_by.put(key, question.requester.owner)
            if len(pool.moved) > MOST_MOVED:
                del pool.moved[pool.moved_by.pop()]

    def _moved_to(self, question: Question, session: str) -> str | None:
        """The member that the session has moved to; None if it has not moved."""
        pool = question.pool
        if pool.session.ttl is None:
            return None
        model, until = self._state.pool(pool.name).moved.get(key_of(session), ("", 0.0))
        # A clock that was set back does not prolong a session's stay.
        return model if question.now < until <= question.now + pool.session.ttl and model in pool.positions else None


MOST_MOVED = 10_000
