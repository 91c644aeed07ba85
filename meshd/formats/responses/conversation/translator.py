"""The Responses API and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.conversation.request import Conversation
from meshd.formats.responses.conversation.answer import read_answer, write_answer
from meshd.formats.responses.conversation.event_reader import EventReader
from meshd.formats.responses.conversation.event_writer import EventWriter
from meshd.formats.responses.conversation.request import read_request, write_request


class ResponsesTranslator:
    read_request = staticmethod(read_request)
    write_request = staticmethod(write_request)
    read_answer = staticmethod(read_answer)
    write_answer = staticmethod(write_answer)
    event_reader = EventReader

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> EventWriter:
        return EventWriter(asked)
