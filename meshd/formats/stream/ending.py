"""What every format has to define about the end of its streams."""

from __future__ import annotations

from abc import ABC, abstractmethod

from meshd.host.build import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Ending(ABC):
    """Whether a format's stream is complete, judged by what has come.

    lost: an event after the end of the content could not be read. missed: an unreadable one before it. doubt: text
    since the last content may have been an error. content: some has come. certain: all of it has, including its end.
    """

    def __init__(self) -> None:
        self.lost = False
        self.missed = False
        self.doubt = False
        self.content = False

    @property
    @abstractmethod
    def certain(self) -> bool: ...

    @abstractmethod
    def is_regular(self, *, done: bool) -> bool:
        """Whether that is the end. done: a mark of the end came; otherwise the connection was closed, or is silent."""
