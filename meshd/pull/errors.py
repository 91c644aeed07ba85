"""What can go wrong with a pull, and what the user can do about it."""

from __future__ import annotations


class PullError(Exception):
    """message: what happened. advice: what to do about it, or ""."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(f"{message}; {advice}" if advice else message)
        self.message = message
        self.advice = advice


class Unverified(PullError):
    """Nothing vouches for the file's content."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"not checked: no sha256 is known for {source}",
            "give --sha256 if you know it, or --unverified to accept it unchecked",
        )


class Unreachable(PullError):
    """The host cannot be reached."""
