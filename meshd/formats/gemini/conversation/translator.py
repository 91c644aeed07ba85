"""The Gemini API and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.conversation.request import Conversation
from meshd.formats.gemini.conversation.answer import read_answer, write_answer
from meshd.formats.gemini.conversation.event_reader import ChunkReader
from meshd.formats.gemini.conversation.event_writer import ChunkWriter
from meshd.formats.gemini.conversation.request import read_request, write_request


class GeminiTranslator:
    """Translates `generateContent`. A request is written for the model that it names, which is the provider's name."""

    read_request = staticmethod(read_request)
    write_request = staticmethod(write_request)
    read_answer = staticmethod(read_answer)
    write_answer = staticmethod(write_answer)
    event_reader = ChunkReader

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> ChunkWriter:
        return ChunkWriter()
