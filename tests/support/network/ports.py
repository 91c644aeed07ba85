"""A TCP port that stays free until a test takes it."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """Below those that the system gives to others by itself."""
    for port in random.Random().sample(range(20_000, 32_000), 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port was found")
