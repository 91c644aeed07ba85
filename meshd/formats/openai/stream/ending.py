"""Whether an ended stream is complete, by its finish reasons, its content and its unreadable chunks.

Owns: distinguishing a regular end from a cut.
Must never: read a clock or bytes.

A finish reason after the content means that the answer is complete, however the connection ends. Some servers send one
too soon, in the first chunk or in every chunk: then only `[DONE]`, a regular close or silence is the end. Some never
send one: then only `[DONE]` is the end, unless some text may have been an error, or a call is incomplete.
"""

from __future__ import annotations

from meshd.formats.openai.records import Chunk
from meshd.formats.openai.stream.arguments import Arguments
from meshd.formats.stream import ending
from meshd.sdk.provider import StreamEvent
from meshd.sdk.reading.message_content import Said


class Ending(ending.Ending):
    def __init__(self, choices: int) -> None:
        super().__init__()
        self._text = self._thought = self._extra = False  # these came
        self._arguments = Arguments()
        self._choices = choices  # asked for
        self._begun: set[int] = set()  # choices with content
        self._finished: set[int] = set()  # with a finish reason, at any time
        self._ended: set[int] = set()  # with a finish reason and no content after it
        self._stamped: set[int] = set()  # those whose finish reason came with content
        self._early = False  # content came after a finish reason
        self._unstamped = False  # content came without one
        self._flows = False  # more text of a known choice changes nothing

    def note(self, chunk: Chunk, event: StreamEvent) -> bool:
        """A chunk came; whether it was progress."""
        choices = chunk.choices or ()
        text_alone = event.text and event.finish_reason is None and not (event.reasoning or event.extra)
        if self._flows and text_alone and len(choices) == 1 and choices[0].index in self._begun:
            self.doubt = False
            return True
        return self.look_into(chunk, event)

    def look_into(self, chunk: Chunk, event: StreamEvent) -> bool:
        """The same without the shortcut that most chunks take."""
        choices = chunk.choices or ()
        if event.content:
            self.content = True
            self.doubt = False
            self.missed = self.missed or self.lost
            if event.text:
                self._text = True
            if event.reasoning:
                self._thought = True
            if event.extra:
                self._extra = True
                self._arguments.note(choices[0].index if choices else 0, event.extra)
        progress = event.content
        for choice in choices:
            index = choice.index
            if choice.says or (event.content and len(choices) == 1):
                self._begun.add(index)
                if index in self._ended:
                    self._early = True
                    self._ended.discard(index)
                self._stamped.discard(index)
                if choice.finish_reason:
                    self._stamped.add(index)
                else:
                    self._unstamped = True
            if choice.finish_reason:
                progress = progress or index not in self._ended
                self._finished.add(index)
                self._ended.add(index)
        self._flows = self._text and self._unstamped and not self._ended and not self.lost
        return progress

    @property
    def came(self) -> Said:
        """Which kinds of content came: each empty or not."""
        return Said("." * self._text, "." * self._thought, "." * self._extra)

    @property
    def certain(self) -> bool:
        """Whether every choice has content, followed by a finish reason that did not come too soon."""
        if not self._said_all or len(self._ended) < self._choices:
            return False
        return self.content and not self.missed

    def is_regular(self, *, done: bool) -> bool:
        """Whether that is the end. done: `[DONE]` came; otherwise the connection was closed, or is silent."""
        if self.missed:
            return False
        if self._said_all and not (self.doubt and not self.content):
            return True
        if self.doubt or not self._arguments.are_whole:
            return False
        if self._finished and self._begun <= self._finished:
            return True
        return done and self.content

    @property
    def _said_all(self) -> bool:
        """Some servers send one choice where several were asked for."""
        if not self._ended or not self._begun <= self._ended:
            return False
        return not self._stamped or (self._unstamped and not self._early)
