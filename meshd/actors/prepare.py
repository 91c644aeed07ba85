"""The first phase of a reload: the one message that carries a running configuration, and so its secrets."""

from __future__ import annotations

from meshd.compilation.running_config import RunningConfig
from meshd.core.messaging.message import Message


class Prepare(Message, frozen=True):
    """Can you run this? → every actor; answered with a tuple of objections, empty if there are none."""

    running: RunningConfig
