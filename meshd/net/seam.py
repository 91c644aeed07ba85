"""What connections of each version of HTTP have in common.

Must never: say which version that is.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from meshd.net.answers import Answer


class Opening(asyncio.Protocol):
    """One that is being opened."""

    loop: asyncio.AbstractEventLoop

    @property
    def socket(self) -> Any:
        """For asking the kernel about it."""
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


class Connection(Protocol):
    """An open one. most: exchanges at once. idle_since: loop time."""

    idle_since: float

    @property
    def most(self) -> int: ...

    @property
    def usable(self) -> bool:
        """Whether it may take another exchange, if it has not the most."""

    def ask(self, head: bytes, body: bytes | None) -> Answer:
        """Send a request; wait for its answer's `head`. head: HTTP/1.1's, with the empty line."""

    def ask_in_parts(self, head: bytes, length: int | None) -> Answer:
        """The same for a body that is written to the answer. head: without what says how the body is sent.
        length: bytes, None if it is not known."""

    def abort(self) -> None: ...

    def close(self) -> None: ...
