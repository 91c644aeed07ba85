"""The strategy that keeps a session at one model.

Owns: `SessionStickiness`, and which sessions have moved, for how long (`session.ttl`).
Must never: remember any other session: its model follows from its name and the pool's members.

Rule: docs/routing.md, Strategies.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from meshd.routing.decision.strategies.base import Context, Derived, InContext
from meshd.routing.decision.strategies.preference import StickUntilFailure
from meshd.routing.request.question import Question
from meshd.routing.table.specs import PoolSpec, RoutingTable

_HASHES = 2.0**64


class _Names(NamedTuple):
    """weights: None if all are equal."""

    encoded: tuple[bytes, ...]
    weights: tuple[float, ...] | None


def _names(table: RoutingTable, pool: PoolSpec) -> _Names:
    weights = tuple(table.models[model].weight for model in pool.members)
    encoded = tuple(model.encode() for model in pool.members)
    return _Names(encoded, None if len(set(weights)) == 1 else weights)


class SessionStickiness(InContext):
    """Rendezvous hashing: each model's number is a hash of the session's name and its own, and the highest gets the
    session. So losing a model moves only its own sessions, spread over the others, and a session is at the same model
    after a restart and in every daemon. A model of twice the weight has twice the sessions; one of weight 0 those that
    no other can serve. Requests without a session stick until failure.

    With `session.ttl`, a session that moved because its model was down stays there until it has been quiet for that
    long, instead of jumping back in between. Only these are remembered (`PoolState.moved`), at most `MOST_MOVED` in a
    pool: of the user who has most of them, the one quiet for longest is forgotten first; a restart forgets them all.
    """

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
        numbers = _numbers(self._names.of(question), session)
        first = numbers.index(max(numbers))
        if members[first] != moved:
            yield members[first]
        for at in sorted(range(len(members)), key=lambda at: -numbers[at]):
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
            pool, key = self._state.pool(question.pool.name), _key(session)
            pool.moved[key] = (model, question.now + ttl)
            pool.moved_by.put(key, question.requester.owner)
            if len(pool.moved) > MOST_MOVED:
                del pool.moved[pool.moved_by.pop()]

    def _moved_to(self, question: Question, session: str) -> str | None:
        """The member that the session has moved to; None if it has not moved."""
        pool = question.pool
        if pool.session.ttl is None:
            return None
        model, until = self._state.pool(pool.name).moved.get(_key(session), ("", 0.0))
        # A clock that was set back does not prolong a session's stay.
        return model if question.now < until <= question.now + pool.session.ttl and model in pool.positions else None


MOST_MOVED = 10_000


def _key(session: str) -> int:
    """Session names come from apps and may have any length."""
    return xxh3_64_intdigest(session.encode("utf-8", "surrogatepass"))


def _numbers(names: _Names, session: str) -> list[float]:
    """What each member draws."""
    seed = _key(session)
    drawn = [xxh3_64_intdigest(name, seed) for name in names.encoded]
    if names.weights is None:
        return drawn  # type: ignore[return-value]  # whole numbers compare all the faster
    # The maximum of -w / ln(u), u uniform in (0, 1), falls to each in proportion to its w. Models of weight 0 rank
    # below all others, in an order of their own.
    uniform = [(number + 0.5) / _HASHES for number in drawn]
    return [
        -weight / log(u) if weight else u - 1.0
        for weight, u in zip(names.weights, (min(u, _BELOW_ONE) for u in uniform), strict=True)
    ]


_BELOW_ONE = 1.0 - 2.0**-53
