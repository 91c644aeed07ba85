"""One stream of chunks in OpenAI's format, however oddly a server writes them."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from meshd.formats.body import Body
from meshd.formats.errors.not_answers import NotAnAnswer, NotAnEvent
from meshd.formats.openai import answer, wire
from meshd.formats.openai.stream.ending import Ending
from meshd.formats.openai.stream.whole_messages import Contradiction, Messages, has_message
from meshd.formats.stream import event_reader
from meshd.formats.stream.event_reader import MAX_BODY
from meshd.host import clock
from meshd.sdk.provider import OperationSpec, StreamEvent
from meshd.sdk.reading import lenient

__all__ = ["MAX_BODY", "EventReader"]


class EventReader(event_reader.EventReader):
    member: ClassVar[bytes] = b"choices"

    def __init__(
        self,
        body: Body,
        *,
        hide_usage: bool,
        choices: int,
        operation: OperationSpec,
        **watched: Any,
    ) -> None:
        ending = Ending(choices)
        event_reader.EventReader.__init__(self, body, ending, **watched)  # because mypyc passes ** to super() wrongly
        self._chunks = ending  # `_ending`, as this format has it
        self._hide_usage = hide_usage
        self._operation = operation
        self._completion = not operation.conversation
        self._usual = False  # text has come in the right place, in a chunk that is passed on as it is
        self._messages: Messages | None = None  # if whole messages come instead of deltas

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            if bare and not self._content and answer.is_whole(data):
                data = answer.as_stream(data)
            event, chunk = wire.read_event(
                data, hide_usage=self._hide_usage, completion=self._completion, usual=self._usual
            )
        except (NotAnAnswer, NotAnEvent) as why:
            return self.instead(why, data, name, bare)
        if not event.content and chunk.choices and b'"message"' in event.data and self._of_messages(event.data):
            return None
        self._usual = self._usual or (event.data is data and bool(event.text))
        return self._passed(event, self._chunks.note(chunk, event))

    def _of_messages(self, data: bytes) -> bool:
        """Read whole messages instead of deltas; False if there are none."""
        document = lenient.decode(data)
        if not has_message(document):
            return False
        if self._messages is None:
            self._messages = Messages(self._chunks.came)
        self._since = clock.now()
        try:
            self._tell(self._messages.deltas(document))
        except Contradiction as why:
            self._failure = self._cut(f"sent chunks that cannot be read: {why}")
        return True

    def _tell(self, documents: list[dict[str, Any]]) -> None:
        for document in documents:
            event = self.read_object(lenient.encode(document), b"", bare=False)
            if event is not None:
                self._more.append(event)

    def rest(self) -> None:
        if self._messages is not None:
            try:
                self._tell(self._messages.rest())
            except Contradiction as why:
                self._failure = self._cut(f"sent chunks that cannot be read: {why}")

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        body, usage, *_ = answer.read_answer(body, self._operation)
        event, _ = wire.read_event(answer.as_stream(body), hide_usage=False, completion=self._completion)
        return [msgspec.structs.replace(event, content=True, usage=usage)]
