"""A response in one piece as the events of a stream, for servers that ignore `stream`."""

from __future__ import annotations

from meshd.formats.openai.wire import document_of
from meshd.formats.responses import wire
from meshd.formats.responses.conversation.event_reader import EventReader
from meshd.formats.responses.conversation.event_writer import EventWriter
from meshd.formats.responses.conversation.items import called
from meshd.sdk.provider import StreamEvent
from meshd.sdk.reading import lenient


def as_events(body: bytes) -> list[StreamEvent]:
    """The last one has the response as it came."""
    document, _ = document_of(body)
    kind = wire.INCOMPLETE if document.get("status") == "incomplete" else wire.COMPLETED
    reader, writer = EventReader(), EventWriter(tools=called(wire.output_of(document)))
    events = reader.read(lenient.plain({"type": kind, "response": document}))
    written = [data for event in events for data in writer.write(event)] + writer.end()
    last = {"type": kind, "sequence_number": len(written) - 1, "response": document}
    reading = wire.Events()
    return [reading.read(data, b"")[0] for data in (*written[:-1], lenient.encode(last))]
