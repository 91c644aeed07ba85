"""Whether an ended stream is complete: its last chunk has a finish reason.

Owns: distinguishing a regular end from a cut. Must never: read a clock or bytes.
"""

from __future__ import annotations

from meshd.formats.stream import ending
from meshd.sdk.provider import StreamEvent


class Ending(ending.Ending):
    def __init__(self) -> None:
        super().__init__()
        self._reason = False  # a finish reason has come, and no content after it

    def note(self, event: StreamEvent) -> bool:
        """An event came; whether it was progress."""
        if event.content:
            self.content = True
            self.doubt = False
            self.missed = self.missed or self.lost
            self._reason = False
        if event.finish_reason is not None:
            self._reason = True
        return event.content or event.finish_reason is not None

    @property
    def certain(self) -> bool:
        return self._reason and self.content and not self.missed

    def is_regular(self, *, done: bool) -> bool:
        return self._reason and not self.missed and not (self.doubt and not self.content)
