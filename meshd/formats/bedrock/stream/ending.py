"""Whether an ended stream is complete: `messageStop` comes after all of the content, `metadata` after that.

Owns: distinguishing a regular end from a cut. Must never: read a clock or bytes.
"""

from __future__ import annotations

from meshd.formats.bedrock.wire import ReadEvent
from meshd.formats.stream import ending


class Ending(ending.Ending):
    """stopped: the last event has come."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = False
        self._reason = False  # a stop reason has come, and no content after it

    def note(self, read: ReadEvent) -> bool:
        """An event came; whether it was progress."""
        event = read.event
        if event.content:
            self.content = True
            self._reason = False
        elif event.finish_reason is not None:
            self._reason = True
        elif read.type == "metadata":
            self.stopped = self._reason
        return event.content or event.finish_reason is not None or read.type == "contentBlockStart"

    @property
    def certain(self) -> bool:
        return self._reason and self.content

    def is_regular(self, *, done: bool) -> bool:
        """Without a stop reason, nothing counts as an end."""
        return self._reason
