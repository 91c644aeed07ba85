"""The Messages API and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.anthropic.conversation.answer import read_answer, write_answer
from meshd.formats.anthropic.conversation.event_reader import MessageReader
from meshd.formats.anthropic.conversation.event_writer import MessageWriter
from meshd.formats.anthropic.conversation.request import read_request, write_request
from meshd.formats.conversation.request import Conversation


class AnthropicTranslator:
    """Translates messages and nothing else. A request is written for the model that it names, which is the provider's
    name."""

    read_request = staticmethod(read_request)
    write_request = staticmethod(write_request)
    read_answer = staticmethod(read_answer)
    write_answer = staticmethod(write_answer)
    event_reader = MessageReader

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> MessageWriter:
        return MessageWriter(input_tokens)
