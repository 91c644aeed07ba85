"""Cohere's chat and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.cohere.conversation.answer import read_answer, write_answer
from meshd.formats.cohere.conversation.event_reader import ChatReader
from meshd.formats.cohere.conversation.event_writer import ChatWriter
from meshd.formats.cohere.conversation.request import read_request, write_request
from meshd.formats.conversation.request import Conversation


class CohereTranslator:
    """A request is written for the model that it names, which is the provider's name."""

    read_request = staticmethod(read_request)
    write_request = staticmethod(write_request)
    read_answer = staticmethod(read_answer)
    write_answer = staticmethod(write_answer)
    event_reader = ChatReader

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> ChatWriter:
        return ChatWriter(input_tokens)
