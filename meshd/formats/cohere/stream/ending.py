"""Whether an ended stream is complete: `message-end` comes last, with the finish reason.

Must never: read a clock or bytes.
"""

from __future__ import annotations

from meshd.formats.cohere.wire import ReadEvent
from meshd.formats.stream import ending


class Ending(ending.Ending):
    """stopped: the last event has come."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = False

    def note(self, read: ReadEvent) -> bool:
        """An event came; whether it was progress."""
        if read.event.content:
            self.content = True
            self.doubt = False
            self.missed = self.missed or self.lost
        self.stopped = self.stopped or read.event.finish_reason is not None
        return read.event.content or read.event.finish_reason is not None

    @property
    def certain(self) -> bool:
        return self.stopped and self.content and not self.missed

    def is_regular(self, *, done: bool) -> bool:
        return self.stopped and not self.missed and not (self.doubt and not self.content)
