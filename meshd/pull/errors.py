"""What can go wrong with a pull, said so that the user knows what to do."""

from __future__ import annotations


class PullError(Exception):
    """message: what happened. advice: what to do about it, or ""."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(f"{message}; {advice}" if advice else message)
        self.message = message
        self.advice = advice


class Unreachable(PullError):
    """There is no way to the host."""
