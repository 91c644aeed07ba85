"""Whether an ended stream is complete: only its last event says so.

Must never: read a clock or bytes.
"""

from __future__ import annotations

from meshd.formats.stream import ending


class Ending(ending.Ending):
    """ended: the last event has come."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    @property
    def certain(self) -> bool:
        return self.ended

    def is_regular(self, *, done: bool) -> bool:
        return self.ended
