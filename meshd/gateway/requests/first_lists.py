"""Makes requests for unknown models wait briefly as long as first model lists are expected, as after a start.

Owns: whether such a list is expected.
Must never: hold a request beyond its deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from meshd.host import clock
from meshd.host.awake import Timeout

_LONGEST = 5.0  # s


class FirstLists:
    """expected: discovery may find models that are not in the table."""

    def __init__(self, expected: bool = False) -> None:
        self.expected = expected
        self._news = asyncio.Event()  # set when the table changes, or when nothing more is expected

    def expect(self, more: bool) -> None:
        self.expected = more
        self.came()

    def came(self) -> None:
        """The table may have changed."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, arrived: float, deadline: float, offered: Callable[[], bool]) -> None:
        """Wait until the table offers what is asked for, or nothing more is expected. Times are those of
        `clock.now()`."""
        until = min(arrived + _LONGEST, deadline)
        while self.expected and (left := until - clock.now()) > 0 and not offered():
            with contextlib.suppress(TimeoutError), Timeout(left):
                await self._news.wait()
