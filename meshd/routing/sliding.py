"""What was sent in the last minute, to the request: the exact sliding window behind every configured rate limit.

Owns: when requests left and how many tokens each counts for, and when there is room again.
Must never: know whose limit it is, read a clock or do I/O; times are UTC seconds given by the caller.

Invariant: in any 60 s, no more is sent than a limit allows, if every request asked `requests_free_in` and
`tokens_free_in` first; a fixed window that starts over at the minute would let twice as much through at its edge.
"""

from __future__ import annotations

from collections import deque

WINDOW = 60.0  # s

_STEP = 1.0  # s: requests are decided within microseconds of each other, so that more than this is the clock's doing


class Sent:
    """One request in a window. tokens: the estimate, and what it used once that is known."""

    __slots__ = ("at", "counted", "tokens")

    def __init__(self, at: float, tokens: int) -> None:
        self.at = at
        self.tokens = tokens
        self.counted = True


class SlidingWindow:
    """Requests and tokens of the last 60 s. It holds no more records than requests were sent in them."""

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
            # The clock was set back: what it left in the future counts for a minute from now, and not for an hour.
            for each in sent:
                each.at = now
        while sent and sent[0].at + WINDOW <= now:
            oldest = sent.popleft()
            oldest.counted = False
            self.tokens -= oldest.tokens

    def add(self, now: float, tokens: int) -> Sent:
        self.expire(now)
        last = self._sent[-1].at if self._sent else now
        sent = Sent(
            max(now, last), tokens
        )  # in order, though of two requests the later may have looked at the clock first
        self._sent.append(sent)
        self.tokens += tokens
        return sent

    def correct(self, sent: Sent, tokens: int) -> None:
        """It used `tokens`. What has left the window meanwhile stays as it was."""
        if sent.counted:
            self.tokens += tokens - sent.tokens
            sent.tokens = tokens

    def take_back(self, sent: Sent) -> None:
        """It never left."""
        if sent.counted:
            sent.counted = False
            self._sent.remove(sent)
            self.tokens -= sent.tokens

    def requests_free_in(self, limit: int, now: float) -> float | None:
        """Seconds until one more fits; None: now."""
        self.expire(now)
        over = len(self._sent) - limit
        if over < 0:
            return None
        return max(self._sent[over].at + WINDOW - now, 0.0)

    def tokens_free_in(self, limit: int, wanted: int, now: float) -> float | None:
        """Seconds until `wanted` tokens more fit; None: now. What is larger than the whole limit fits an empty window,
        as it never will better."""
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
