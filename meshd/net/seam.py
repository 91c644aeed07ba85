"""What connections have in common, whichever version of HTTP they use.

Must never: say which version that is.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from meshd.net.answers import Answer


class Opening(asyncio.Protocol):
    """A connection that is being opened."""

    loop: asyncio.AbstractEventLoop

    @property
    def socket(self) -> Any:
        """For asking the kernel about it."""
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


class Connection(Protocol):
    """An open connection. most: exchanges at once. idle_since: loop time."""

    idle_since: float

    @property
    def most(self) -> int: ...

    @property
    def usable(self) -> bool:
        """Whether it may take another exchange, unless it already has `most`."""

    def ask(self, head: bytes, body: bytes | None) -> Answer:
        """Send a request; wait for its answer's `head`. head: in HTTP/1.1's form, including the empty line."""

    def ask_in_parts(self, head: bytes, length: int | None) -> Answer:
        """The same for a body that is written to the answer. head: without the headers that say how the body
        is sent. length: bytes, None if unknown."""

    def abort(self) -> None: ...

    def close(self) -> None: ...
