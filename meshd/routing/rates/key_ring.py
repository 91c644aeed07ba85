"""Which of a provider's several keys is used next: by weight, skipping those that are set aside.

Owns: which key is next, and which keys are set aside ("rest"), until when and why.
Must never: see a key (a fingerprint identifies it), read a clock or do I/O.

Stride scheduling: each use advances a key's virtual time by 1/weight, and the key furthest behind is next. A key that
comes back starts at the ring's time, so that it does not catch up in a burst. A session always uses the same key
instead (`routing/request/rendezvous.py`); that counts as the key's turn, but as only one, so that no other key has to
catch up. A key that gets 401 or 429 is set aside alone (docs/routing.md, Several keys).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshd.core.events.cause import Cause, Why, dump_why, load_why
from meshd.routing.request.rendezvous import numbers
from meshd.routing.standing import FIRST_RETRY, LONGEST_KEPT, Availability
from meshd.routing.table.specs import KeySpec
from meshd.routing.words import words
from meshd.sdk.provider import FailureKind

INDEFINITELY = float("inf")
KEY_REFUSED = frozenset({FailureKind.AUTHENTICATION, FailureKind.PERMISSION})
OF_A_KEY = KEY_REFUSED | {FailureKind.RATE_LIMIT, FailureKind.QUOTA}
"""Failures that another key of the same provider may not meet."""
LONGEST_REST = 86400.0  # s: the longest time for which a saved key is set aside, even if the clock was set


@dataclass(frozen=True, slots=True)
class RestingKey:
    """id: the fingerprint. until: UTC seconds, infinite: until an operator or a probe says otherwise. since: when it
    was refused; told: until when its provider asked for a pause of this key, 0 if it did not."""

    id: str
    why: Why
    until: float
    since: float = field(default=0.0, compare=False)
    told: float = field(default=0.0, compare=False)

    @property
    def for_rates(self) -> bool:
        """Whether the key was only used too often, and nothing else is wrong with it."""
        return self.why.kind is FailureKind.RATE_LIMIT

    @property
    def reason(self) -> str:
        """In the provider's words."""
        return self.why.said or words(self.why)


class KeyRing:
    """The keys of one provider that has several."""

    __slots__ = ("_all_rest", "_keys", "_resting", "_time", "_turns")

    def __init__(self) -> None:
        self._keys: Sequence[KeySpec] = ()
        self._resting: dict[str, RestingKey] = {}
        self._turns: dict[str, float] = {}
        self._time = 0.0
        self._all_rest: Availability | None = None

    def configure(self, keys: Sequence[KeySpec]) -> None:
        """The keys from now on; removed ones are forgotten with all that was known about them."""
        if keys is self._keys:
            return
        self._keys = keys
        ids = {key.id for key in keys}
        self._turns = {id: turn for id, turn in self._turns.items() if id in ids}
        self._resting = {id: rest for id, rest in self._resting.items() if id in ids}

    def rest_of(self, id: str, now: float) -> RestingKey | None:
        rest = self._resting.get(id)
        return rest if rest is not None and rest.until > now else None

    def resting(self, now: float) -> list[RestingKey]:
        return [rest for rest in self._resting.values() if rest.until > now]

    def all_rest(self, now: float) -> Availability | None:
        """While all keys are set aside: when and by which request one is tested sooner, if no other model can
        answer."""
        rests = [self.rest_of(key.id, now) for key in self._keys]
        if not rests or None in rests:
            self._all_rest = None
            return None
        first = min((rest for rest in rests if rest is not None), key=lambda rest: rest.until)
        known = self._all_rest
        if known is None:
            soon = now + FIRST_RETRY if first.for_rates else now
            known = self._all_rest = Availability(True, since=now, retry_at=soon)
        known.until, known.why = first.until, first.why
        if first.told - first.since <= LONGEST_KEPT:
            known.retry_at = max(known.retry_at, first.told)
        return known

    def nothing_in_flight(self) -> None:
        self._all_rest = None

    def answered(self, id: str, asked_at: float) -> None:
        """A request sent with this key at `asked_at` was answered: a refusal before that is over."""
        rest = self._resting.get(id)
        if rest is not None and asked_at > rest.since:
            del self._resting[id]

    def take(self, now: float, has_room: Callable[[str], bool], session: str = "") -> str:
        """The next key's fingerprint: a usable key with room, else any usable one, else the one that is back first.
        Keys without weight only when no other is left. session: it keeps to its own key among these, computed from its
        name, so that it finds the provider's prompt cache again."""
        awake = [key for key in self._keys if self.rest_of(key.id, now) is None]
        candidates = [key for key in awake if has_room(key.id)] or awake
        if not candidates:
            candidates = [min(self._keys, key=lambda key: self._resting[key.id].until)]
        if session:
            drawn = numbers([key.id.encode() for key in candidates], [key.weight for key in candidates], session)
            chosen = candidates[drawn.index(max(drawn))]
            turn = self._time + 1.0 / (chosen.weight or 1.0)
            self._turns[chosen.id] = max(self._turns.get(chosen.id, 0.0), turn)
            return chosen.id
        chosen = min(candidates, key=lambda key: (not key.weight, max(self._turns.get(key.id, 0.0), self._time)))
        self._time = max(self._turns.get(chosen.id, 0.0), self._time)
        self._turns[chosen.id] = self._time + 1.0 / (chosen.weight or 1.0)
        return chosen.id

    def refuse(self, rest: RestingKey, now: float) -> bool:
        """Set a key aside, at least until then. Returns True while another is usable, so that the provider is not to
        blame. Usable means not set aside, or set aside only for its rate while this one was refused for something
        worse."""
        known = self.rest_of(rest.id, now)
        if known is None or rest.until > known.until:
            self._resting[rest.id] = rest
        others = (self.rest_of(key.id, now) for key in self._keys if key.id != rest.id)
        return any(other is None or (other.for_rates and not rest.for_rates) for other in others)

    def reset(self) -> bool:
        """Try all keys again. Returns True if one was set aside."""
        rested = bool(self._resting)
        self._resting.clear()
        return rested

    def dump(self, now: float, ahead: float = 0.0) -> list[dict[str, Any]]:
        return [
            {
                "id": rest.id,
                "why": dump_why(rest.why),
                "until": None if rest.until == INDEFINITELY else rest.until + ahead,
            }
            for rest in self.resting(now)
        ]

    def load(self, saved: list[dict[str, Any]], now: float) -> None:
        for each in saved:
            until = each.get("until")
            end = INDEFINITELY if until is None else min(float(until), now + LONGEST_REST)
            rest = RestingKey(str(each.get("id", "")), load_why(each) or Why(Cause.KEY_REFUSED), end)
            self._resting[rest.id] = rest
