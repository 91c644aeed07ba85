"""The Messages API and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.anthropic.conversation import answer as answers
from meshd.formats.anthropic.conversation import request as requests
from meshd.formats.anthropic.conversation.event_reader import MessageReader
from meshd.formats.anthropic.conversation.event_writer import MessageWriter
from meshd.formats.conversation.answer import Answer
from meshd.formats.conversation.request import Conversation


class AnthropicTranslator:
    """Of messages; nothing else is translated. A request is written for the model that it names: the provider's."""

    def read_request(self, body: bytes) -> Conversation:
        return requests.read_request(body)

    def write_request(self, conversation: Conversation) -> bytes:
        return requests.write_request(conversation)

    def read_answer(self, body: bytes) -> Answer:
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, asked: Conversation | None = None) -> bytes:
        return answers.write_answer(answer, asked)

    def event_reader(self) -> MessageReader:
        return MessageReader()

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> MessageWriter:
        return MessageWriter(input_tokens)
