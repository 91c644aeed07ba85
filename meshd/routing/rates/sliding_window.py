"""The requests of the last minute: the exact sliding window behind every configured rate limit.

Owns: when requests left and how many tokens each counts for, and when there is room again.
Must never: know whose limit it is, read a clock or do I/O; times are UTC seconds given by the caller.

Invariant: in any 60 s, no more is sent than a limit allows, if every request asked `requests_free_in` and
`tokens_free_in` first; a fixed window that starts over at the minute would let twice as much through at its edge.
"""

from __future__ import annotations

from collections import deque

WINDOW = 60.0  # s

_STEP = 1.0  # s: decisions are microseconds apart: a larger step back means that the clock was set


class Sent:
    """One request in a window. tokens: the estimate, or what it used once that is known."""

    __slots__ = ("at", "counted", "tokens")

    def __init__(self, at: float, tokens: int) -> None:
        self.at = at
        self.tokens = tokens
        self.counted = True


class SlidingWindow:
    """Requests and tokens of the last 60 s, with one record per request."""

    __slots__ = ("_sent", "tokens")

    def __init__(self) -> None:
        self._sent: deque[Sent] = deque()
        self.tokens = 0

    def __len__(self) -> int:
        """Requests, as of the last `expire`."""
        return len(self._sent)

    def expire(self, now: float) -> None:
        """Forget what is older than the window."""
        sent = self._sent
        if sent and sent[-1].at > now + _STEP:
            # The clock was set back: records in the future count for a minute from now, not for an hour.
            for each in sent:
                each.at = now
        while sent and sent[0].at + WINDOW <= now:
            oldest = sent.popleft()
            oldest.counted = False
            self.tokens -= oldest.tokens

    def empty_in(self, now: float) -> float:
        """Seconds until nothing counts any more."""
        self.expire(now)
        return max(self._sent[-1].at + WINDOW - now, 0.0) if self._sent else 0.0

    def add(self, now: float, tokens: int) -> Sent:
        self.expire(now)
        last = self._sent[-1].at if self._sent else now
        sent = Sent(max(now, last), tokens)  # in order, though a later request may have read the clock earlier
        self._sent.append(sent)
        self.tokens += tokens
        return sent

    def correct(self, sent: Sent, tokens: int) -> None:
        """Record that a request used `tokens`. Nothing changes if it has left the window."""
        if sent.counted:
            self.tokens += tokens - sent.tokens
            sent.tokens = tokens

    def take_back(self, sent: Sent) -> None:
        """Undo it: the request was never sent."""
        if sent.counted:
            sent.counted = False
            self._sent.remove(sent)
            self.tokens -= sent.tokens

    def requests_free_in(self, limit: int, now: float) -> float | None:
        """Seconds until one more request fits; None: now."""
        self.expire(now)
        over = len(self._sent) - limit
        if over < 0:
            return None
        return max(self._sent[over].at + WINDOW - now, 0.0)

    def tokens_free_in(self, limit: int, wanted: int, now: float) -> float | None:
        """Seconds until `wanted` tokens more fit; None: now. A request above the whole limit fits an empty window."""
        self.expire(now)
        left = self.tokens + wanted - limit
        if left <= 0:
            return None
        free_in: float | None = None
        for sent in self._sent:
            if left <= 0:
                break
            left -= sent.tokens
            free_in = max(sent.at + WINDOW - now, 0.0)
        return free_in
