"""The strategy that keeps a session at one model.

Owns: `SessionStickiness`.
Must never: remember a session: where it belongs follows from its name and the pool's members alone.

Rule: spec/routing.md, Strategies.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from meshd.routing.stages import Question
from meshd.routing.strategies.base import Derived
from meshd.routing.strategies.preference import StickUntilFailure
from meshd.routing.table import PoolSpec, RoutingTable

_HASHES = 2.0**64


class _Names(NamedTuple):
    """weights: None where all weigh the same."""

    encoded: tuple[bytes, ...]
    weights: tuple[float, ...] | None


def _names(table: RoutingTable, pool: PoolSpec) -> _Names:
    weights = tuple(table.models[model].weight for model in pool.members)
    encoded = tuple(model.encode() for model in pool.members)
    return _Names(encoded, None if len(set(weights)) == 1 else weights)


class SessionStickiness:
    """Rendezvous hashing: each model draws a number from the session's name and its own, and the highest has the
    session. Losing a model therefore moves only its own sessions, and to all the others; and a session is at the same
    model after a restart and in every daemon. A model of twice the weight has twice the sessions; one without weight
    has those that no other can serve. Requests without a session stick until failure.
    """

    def __init__(self) -> None:
        self._names = Derived(_names)
        self._default = StickUntilFailure()

    def order(self, question: Question) -> Iterator[str]:
        session, members = question.asker.session, question.pool.members
        if not session or not members:
            yield from self._default.order(question)
            return
        numbers = _numbers(self._names.of(question), session)
        first = numbers.index(max(numbers))
        yield members[first]
        for at in sorted(range(len(members)), key=lambda at: -numbers[at]):
            if at != first:
                yield members[at]

    def chosen(self, question: Question, model: str) -> str | None:
        return None if question.asker.session else self._default.chosen(question, model)


def _numbers(names: _Names, session: str) -> list[float]:
    """What each member draws."""
    seed = xxh3_64_intdigest(session.encode("utf-8", "surrogatepass"))
    drawn = [xxh3_64_intdigest(name, seed) for name in names.encoded]
    if names.weights is None:
        return drawn  # type: ignore[return-value]  # whole numbers compare all the faster
    # Of -w / ln(u), u uniform in (0, 1), the highest falls to each in proportion to its w. Those of no weight are
    # below all others, in an order of their own.
    uniform = [(number + 0.5) / _HASHES for number in drawn]
    return [
        -weight / log(u) if weight else u - 1.0
        for weight, u in zip(names.weights, (min(u, _BELOW_ONE) for u in uniform), strict=True)
    ]


_BELOW_ONE = 1.0 - 2.0**-53
