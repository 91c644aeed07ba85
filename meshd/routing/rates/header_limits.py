"""What is left of a provider's limits according to its response headers, less what has been sent since.

Owns: one record for each model and key, and its age; and until when a model must not be asked.
Must never: know of configured limits, read a clock or do I/O.

A response describes the moment its request arrived: later requests may not be counted in it, and are subtracted here. A
request counted twice makes another wait a moment too long; one not counted causes a 429.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from meshd.core.events.cause import Cause, Why
from meshd.routing.rates.sliding_window import WINDOW
from meshd.routing.standing import FIRST_RETRY, LONGEST_KEPT, Availability
from meshd.sdk.provider import FailureKind, RateLimits

_STEP = 1.0  # s: if the clock goes back by more, it was set


class Remaining:
    """Requests or tokens left until the reset. limit: None: unknown. number: of the last request that the provider had
    counted. longer: the window is longer than a minute (Groq counts requests by the day): the limit applies in addition
    to a configured one per minute, not instead of it."""

    __slots__ = ("left", "limit", "longer", "number", "seen", "until")

    def __init__(self, limit: int | None, left: int, seen: float, until: float, number: int, longer: bool) -> None:
        self.limit = limit
        self.left = left
        self.seen = seen
        self.until = until
        self.number = number
        self.longer = longer

    def live(self, now: float) -> bool:
        return self.seen - _STEP <= now < self.until

    def free_in(self, wanted: int, now: float) -> float | None:
        """Seconds until `wanted` fit; None: now, or unknown. A request above the whole limit fits a full one."""
        if self.left >= wanted or not self.live(now):
            return None
        if self.limit is not None and 0 < self.limit <= self.left:
            return None
        return self.until - now

    def start_over(self, now: float, number: int) -> None:
        """The reset has passed: the whole limit counts as available until a header says otherwise. Without this, all
        requests that waited for the reset would be sent at once."""
        if now >= self.until and self.limit:
            self.left, self.seen, self.until, self.number = self.limit, now, now + WINDOW, number


class LeftAlone:
    """A provider asked for a pause of a model until `until` (`Retry-After`); since: UTC seconds, as all times. reason:
    in its words. longer: it asked for more than is honoured. rest: when and by which request it is tested sooner, if no
    other model can answer."""

    __slots__ = ("longer", "reason", "rest", "since", "until")

    def __init__(
        self, since: float, until: float, reason: str = "", longer: bool = False, rest: Availability | None = None
    ) -> None:
        self.since = since
        self.until = until
        self.reason = reason
        self.longer = longer
        self.rest = rest or Availability(True, since=since, retry_at=since + FIRST_RETRY)
        self.rest.until = until
        self.rest.why = Why(Cause.RATE_LIMITED, FailureKind.RATE_LIMIT, reason)
        if until - since <= LONGEST_KEPT:
            self.rest.retry_at = until

    @property
    def kept(self) -> bool:
        """Whether the pause is so short that no request is sent before its end."""
        return self.rest.retry_at >= self.until

    def left(self, now: float) -> float | None:
        """Seconds; None when it is over, or the clock was set back."""
        return self.until - now if self.since - _STEP <= now < self.until else None

    def dump(self, ahead: float) -> dict[str, Any]:
        """For a restart: by the wall clock, which is `ahead` of `meshd.host.clock`."""
        times = {"since": self.since + ahead, "until": self.until + ahead}
        return {**times, "reason": self.reason, "longer": self.longer}

    @classmethod
    def load(cls, saved: Any, now: float) -> LeftAlone | None:
        """Never for longer from now than was asked for, even if the clock was set; None if there is nothing to read."""
        if not isinstance(saved, Mapping):
            return None
        since, until = _time(saved.get("since")), _time(saved.get("until"))
        if since is None or until is None or until <= now:
            return None
        until = min(until, now + max(until - since, 0.0))
        return cls(min(since, now), until, str(saved.get("reason") or ""), bool(saved.get("longer")))


def _time(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


class Observed:
    """One model's, by one key. sent, tokens: since the record began."""

    __slots__ = ("remaining_requests", "remaining_tokens", "sent", "tokens")

    def __init__(self) -> None:
        self.remaining_requests: Remaining | None = None
        self.remaining_tokens: Remaining | None = None
        self.sent = 0
        self.tokens = 0

    @property
    def told(self) -> bool:
        """Whether a header gave a limit."""
        return self.remaining_requests is not None or self.remaining_tokens is not None

    def enter(self, tokens: int, now: float) -> int:
        """Record that a request of about that many tokens is sent. Returns its number."""
        requests, of_tokens = self.remaining_requests, self.remaining_tokens
        if requests is not None:
            requests.start_over(now, self.sent)
            requests.left -= 1
        if of_tokens is not None:
            of_tokens.start_over(now, self.sent)
            of_tokens.left -= tokens
        self.sent += 1
        self.tokens += tokens
        return self.sent

    def take_back(self, number: int) -> None:
        """Undo it: the request was never sent."""
        remaining = self.remaining_requests
        if remaining is not None and number > remaining.number:
            remaining.left += 1

    def correct(self, number: int, difference: int) -> None:
        """The request used `difference` tokens more than it was counted for."""
        remaining = self.remaining_tokens
        if remaining is not None and number > remaining.number:
            remaining.left -= difference

    def observe(self, limits: RateLimits, number: int, tokens: int, now: float) -> None:
        """number, tokens: `sent` and `tokens` of this record when the answered request entered."""
        if limits.remaining_requests is not None:
            self.remaining_requests = _newer(
                self.remaining_requests,
                limits.limit_requests,
                limits.remaining_requests - (self.sent - number),
                limits.reset_requests,
                number,
                now,
            )
        if limits.remaining_tokens is not None:
            self.remaining_tokens = _newer(
                self.remaining_tokens,
                limits.limit_tokens,
                limits.remaining_tokens - (self.tokens - tokens),
                limits.reset_tokens,
                number,
                now,
            )


def _newer(
    known: Remaining | None, limit: int | None, left: int, reset: float | None, number: int, now: float
) -> Remaining:
    """What is known afterwards. Answers overtake each other: an older request's may only lower what is left."""
    if known is not None and number < known.number and known.live(now):
        known.left = min(known.left, left)
        return known
    # Azure and Mistral send no reset; their windows are a minute or less.
    until = now + (WINDOW if reset is None else reset)
    limit = limit if limit is not None or known is None else known.limit
    longer = until - now > WINDOW or (known is not None and known.longer and known.limit == limit)
    return Remaining(limit, left, now, until, number, longer)
