"""Whether one limit has room, in numbers and in words for people.

Owns: `NoRoom`, `Headroom`, and how they follow from a window or a header.
Must never: know which limits apply to a request (`rates.py`), read a clock or do I/O.
"""

from __future__ import annotations

from collections.abc import Collection
from math import ceil
from typing import NamedTuple

import msgspec

from meshd.routing.rates.header_limits import Remaining
from meshd.routing.rates.sliding_window import SlidingWindow

_INFINITE = float("inf")


class NoRoom(msgspec.Struct, frozen=True):
    """There is no room. frees_in: seconds until there may be, None: when a request ends. told: the provider asked for
    this pause."""

    reason: str
    frees_in: float | None
    told: bool = False


class Headroom(NamedTuple):
    """What is left of the tightest limit on requests and on tokens: fractions 0…1, 1 where there is no limit;
    requests, tokens: absolute, None where there is no limit."""

    fraction: float = 1.0
    requests: float | None = None
    tokens: float | None = None


UNLIMITED = Headroom()


def no_room_this_minute(
    who: str, window: SlidingWindow, rpm: int | None, tpm: int | None, tokens: int, now: float
) -> NoRoom | None:
    """Why one more request, of `tokens` tokens, does not fit."""
    wait = None if rpm is None else window.requests_free_in(rpm, now)
    if wait is not None:
        return NoRoom(f"{who} is at its limit of {rpm} requests a minute; {room_in(wait)}", wait)
    wait = None if tpm is None else window.tokens_free_in(tpm, tokens, now)
    if wait is not None:
        return NoRoom(f"{who} is at its limit of {tpm} tokens a minute; {room_in(wait)}", wait)
    return None


def used_up(provider: str, model: str, remaining: Remaining, wanted: int, what: str, wait: float) -> NoRoom:
    """Too little of a header's limit is left."""
    left, of = max(remaining.left, 0), f" of {remaining.limit}" if remaining.limit is not None else ""
    needed = f", and about {wanted} are needed" if left else ""
    return NoRoom(f"{provider} has {left}{of} {what} left for {model}{needed}; {room_in(wait)}", wait)


def room_in(wait: float) -> str:
    return f"room in {max(ceil(wait), 1)} s"


def frees_at_best(no_room: NoRoom) -> float:
    """Seconds; infinite where only the end of a request makes room."""
    return _INFINITE if no_room.frees_in is None else no_room.frees_in


def overrides(remaining: Remaining | None, now: float) -> bool:
    """Whether a header's limit replaces the configured one."""
    return remaining is not None and not remaining.longer and remaining.live(now)


def limits_left(
    known: Collection[Remaining | None], limit: int | None, used: int, now: float
) -> list[tuple[float, float]]:
    """(left, limit) of every applicable limit of one kind, by headers and configuration. known: by usable key. An
    unknown limit is 0."""
    live = [each for each in known if each is not None and each.live(now)]
    found: list[tuple[float, float]] = []
    told = bool(live) and len(live) == len(known)  # else some key's limits are unknown
    if told:
        found.append((sum(max(each.left, 0) for each in live), sum(each.limit or limit or 0 for each in live)))
    if limit is not None and not (told and not any(each.longer for each in live)):
        found.append((limit - used, limit))
    return found
