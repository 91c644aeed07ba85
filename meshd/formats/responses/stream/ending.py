"""Whether an ended stream is whole: only its last event says so.

Must never: read a clock or bytes.
"""

from __future__ import annotations


class Ending:
    """See `meshd/formats/stream/event_reader.py`. ended: the last event has come."""

    def __init__(self) -> None:
        self.lost = False
        self.missed = False
        self.doubt = False
        self.content = False
        self.ended = False

    @property
    def certain(self) -> bool:
        return self.ended

    def is_regular(self, *, done: bool) -> bool:
        return self.ended
