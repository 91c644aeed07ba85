"""What a receiver finds too large is sent in two halves, and these again, down to single items.

Must never: send an item twice that was taken, or the second half before the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

STATUS = 413

Item = TypeVar("Item")
Lost = tuple[int, str]
"""How many items were refused for good, and why; (0, "") if none were."""


class TooLarge(Exception):
    """Raised by a post. lost: how many are refused if they cannot be halved."""

    def __init__(self, why: str, lost: int) -> None:
        super().__init__(why)
        self.lost = lost


def post_in_halves(post: Callable[[Sequence[Item], str], Lost], items: Sequence[Item], part: str = "") -> Lost:
    """post(items, part): part is "" for all of them, and `-1-2` for the second half of the first half."""
    try:
        return post(items, part)
    except TooLarge as error:
        if len(items) == 1:
            return error.lost, str(error)
    middle = len(items) // 2
    first, why = post_in_halves(post, items[:middle], f"{part}-1")
    second, later = post_in_halves(post, items[middle:], f"{part}-2")
    return first + second, why or later
