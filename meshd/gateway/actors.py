"""How the gateway reaches the daemon's other actors and the background.

Must never: make a request wait, except to renew a refused key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from meshd import messages

Tell = Callable[[str, messages.Message], None]


class Actors(msgspec.Struct, frozen=True):
    """tell: puts a message into an actor's mailbox. ask: also awaits the answer (name, message, seconds). spawn: runs a
    coroutine in the background."""

    tell: Tell
    ask: Callable[[str, messages.Message, float], Awaitable[Any]]
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
