"""A stream of events that have a `type`: of a transcript, an image, speech.

Owns: whether it is complete: it ends with the event that the operation names, once for each answer that was asked for.
Must never: change an event.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from meshd.formats.body import Body
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken
from meshd.formats.openai import answer, wire
from meshd.formats.openai.usage import reported, usage_in
from meshd.formats.stream import ending, event_reader
from meshd.sdk.provider import OperationSpec, StreamEvent, Usage
from meshd.sdk.reading import lenient

_CONTENT = ("delta", "audio", "b64_json", "text")


class _Ending(ending.Ending):
    """ends: the events that end an answer."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.ends = 0
        self._answers = answers

    @property
    def certain(self) -> bool:
        return self.ends >= self._answers

    def is_regular(self, *, done: bool) -> bool:
        return self.ends > 0


class TypedEvents(event_reader.EventReader):
    member = b"type"

    _ending: _Ending

    def __init__(self, body: Body, *, operation: OperationSpec, answers: int, **watched: Any) -> None:
        super().__init__(body, _Ending(answers), **watched)
        self._operation = operation
        self._answers = answers
        self._kinds: set[tuple[str, str]] | None = None  # what every answer so far says about its kind

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        try:
            document, data = wire.document_of(data)
        except Broken:
            self._lose(data)
            return None
        if error_answers.calls_itself_error(document) or error_answers.is_flagged(document):
            self._failure = wire.error_inside(wire.error_of(document), document).failure()
            return None
        ends = document.get("type") in self._operation.ends
        delta = document.get("delta")
        content = any(document.get(each) for each in _CONTENT)
        self._ending.ends += ends
        self._ending.content = self._ending.content or content
        event = StreamEvent(
            data,
            content=content,
            text=delta if isinstance(delta, str) else "",
            finish_reason="stop" if ends else None,
            usage=self._reported(document) if ends else usage_in(document),
        )
        return self._passed(event, content or ends)

    def _reported(self, document: dict[str, Any]) -> Usage | None:
        """The report in an event that ends an answer. If there are several, they count as one kind only in what all of
        them agree on."""
        operation = self._operation
        usage = reported(document, operation.reports, operation.priced_by)
        kinds = set() if usage is None else set(usage.kind)
        self._kinds = kinds if self._kinds is None else self._kinds & kinds
        if usage is None:
            return None
        return replace(usage, kind=tuple(self._kinds) if self._ending.ends == self._answers else ())

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        """A unary answer as the event that would have ended the stream."""
        body, usage, *_ = answer.read_answer(body, self._operation)
        return _as_events(body, self._operation, usage)


def _as_events(body: bytes, operation: OperationSpec, usage: Any) -> list[StreamEvent]:
    document, _ = wire.document_of(body)
    name = operation.rows[0]
    rows = document.pop(name) if name else [{}]
    return [
        StreamEvent(
            lenient.encode({"type": operation.ends[0], **document, **row}),
            content=True,
            finish_reason="stop",
            usage=usage if last else None,
        )
        for row, last in zip(rows, [*[False] * (len(rows) - 1), True], strict=True)
    ]
