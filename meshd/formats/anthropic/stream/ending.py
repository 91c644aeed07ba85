"""Whether an ended stream is complete: a stop reason comes after all of the content, `message_stop` after everything.

Owns: distinguishing a regular end from a cut. Must never: read a clock or bytes.
"""

from __future__ import annotations

from meshd.formats.anthropic.wire import ReadEvent
from meshd.formats.openai.stream.arguments import Arguments
from meshd.formats.stream import ending


class Ending(ending.Ending):
    """stopped: the last event has come."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = False
        self._reason = False  # a stop reason has come, and no content after it
        self._arguments = Arguments()  # by block

    def note(self, read: ReadEvent) -> bool:
        """An event came; whether it was progress."""
        event = read.event
        if event.content:
            self.content = True
            self.doubt = False
            self.missed = self.missed or self.lost
            self._reason = False
            if event.extra and read.type == "content_block_delta":
                self._arguments.add(0, read.block, event.extra)
        elif event.finish_reason is not None:
            self._reason = True
        elif read.type == "message_stop":
            self.stopped = True
        return event.content or event.finish_reason is not None or read.type == "content_block_start"

    @property
    def certain(self) -> bool:
        return self._reason and self.content and not self.missed

    def is_regular(self, *, done: bool) -> bool:
        """Without a stop reason, only `message_stop` counts as an end, and not in the middle of a call's arguments:
        other marks of an end say nothing about the answer."""
        if self.missed or (self.doubt and not self.content):
            return False
        return self._reason or (self.stopped and self.content and self._arguments.are_whole)
