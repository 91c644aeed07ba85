"""OpenAI's chat format and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.conversation.request import Conversation
from meshd.formats.openai.conversation.answer import read_answer, write_answer
from meshd.formats.openai.conversation.chunks import ChunkReader, ChunkWriter
from meshd.formats.openai.conversation.request import read_request, write_request


class OpenAITranslator:
    """Translates chat completions and nothing else."""

    read_request = staticmethod(read_request)
    write_request = staticmethod(write_request)
    read_answer = staticmethod(read_answer)
    write_answer = staticmethod(write_answer)
    event_reader = ChunkReader

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> ChunkWriter:
        return ChunkWriter(asked)
