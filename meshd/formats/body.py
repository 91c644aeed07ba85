"""What a stream is read from."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Body(Protocol):
    """A provider's answer while it arrives (`net/http.py`)."""

    async def read_some(self) -> bytes:
        """b"" at its end. Raises TransportError, OSError, EncodingError, and what it is told to `fail` with."""

    def fail(self, reason: Exception) -> None:
        """Raise this where it is being read."""

    def abort(self) -> None:
        """Close the connection."""

    def linger(self, loop: asyncio.AbstractEventLoop) -> None:
        """Everything needed has arrived: keep the connection if the end follows soon."""
