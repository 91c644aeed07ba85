"""OpenAI's chat format and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.conversation.answer import Answer
from meshd.formats.conversation.request import Conversation
from meshd.formats.openai.conversation import answer as answers
from meshd.formats.openai.conversation import request as requests
from meshd.formats.openai.conversation.chunks import ChunkReader, ChunkWriter


class OpenAITranslator:
    """Of chat completions; nothing else is translated."""

    def read_request(self, body: bytes) -> Conversation:
        return requests.read_request(body)

    def write_request(self, conversation: Conversation) -> bytes:
        return requests.write_request(conversation)

    def read_answer(self, body: bytes) -> Answer:
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, asked: Conversation | None = None) -> bytes:
        return answers.write_answer(answer, asked)

    def event_reader(self) -> ChunkReader:
        return ChunkReader()

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> ChunkWriter:
        return ChunkWriter(asked)
