"""Rendezvous hashing: where a session belongs, among candidates that have names and weights. Owns: the numbers that
they draw for a session. Must never: remember anything, or depend on their order.

Each number is a hash of the session's name and the candidate's, and the highest gets the session. So losing a candidate
moves only its own sessions, spread over the others, and a session is at the same place after a restart and in every
daemon. A candidate of twice the weight has twice the sessions; one of weight 0 has those that no other can take.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from xxhash import xxh3_64_intdigest

_HASHES = 2.0**64
_BELOW_ONE = 1.0 - 2.0**-53


def key_of(session: str) -> int:
    """Session names come from apps and may have any length."""
    return xxh3_64_intdigest(session.encode("utf-8", "surrogatepass"))


def numbers(names: Sequence[bytes], weights: Sequence[float] | None, session: str) -> list[float]:
    """The number that each candidate draws for the session. weights: None if all are equal."""
    seed = key_of(session)
    drawn = [xxh3_64_intdigest(name, seed) for name in names]
    if weights is None:
        return drawn  # type: ignore[return-value]  # whole numbers compare all the faster
    # The maximum of -w / ln(u), u uniform in (0, 1), falls to each in proportion to its w. Those of weight 0 rank below
    # all others, in an order of their own.
    uniform = [(number + 0.5) / _HASHES for number in drawn]
    return [
        -weight / log(u) if weight else u - 1.0
        for weight, u in zip(weights, (min(u, _BELOW_ONE) for u in uniform), strict=True)
    ]
