"""The Responses API and neutral records, in both directions."""

from __future__ import annotations

from meshd.formats.conversation.answer import Answer
from meshd.formats.conversation.request import Conversation
from meshd.formats.responses.conversation import answer as answers
from meshd.formats.responses.conversation import request as requests
from meshd.formats.responses.conversation.event_reader import EventReader
from meshd.formats.responses.conversation.event_writer import EventWriter


class ResponsesTranslator:
    def read_request(self, body: bytes) -> Conversation:
        return requests.read_request(body)

    def write_request(self, conversation: Conversation) -> bytes:
        return requests.write_request(conversation)

    def read_answer(self, body: bytes) -> Answer:
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, asked: Conversation | None = None) -> bytes:
        return answers.write_answer(answer, asked)

    def event_reader(self) -> EventReader:
        return EventReader()

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> EventWriter:
        return EventWriter(asked)
