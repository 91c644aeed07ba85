"""A message of the model as an answer.

What a provider sends is read as far as possible: `formats/bedrock/answer.py` has judged whether it is an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.formats.bedrock.conversation.content import read_blocks
from meshd.formats.bedrock.conversation.refused import FORMAT
from meshd.formats.bedrock.usage import usage_in
from meshd.formats.conversation.answer import Answer, Choice, Finish
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.parts import Text
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, not_too_deep

_FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.CONTEXT,
    "tool_use": Finish.TOOL_CALLS,
    "guardrail_intervened": Finish.FILTER,
    "content_filtered": Finish.FILTER,
}


@not_too_deep(Unreadable, "it")
def read_answer(body: bytes) -> Answer:
    """It has neither an id nor the model's name. Raises Unreadable."""
    document = answer_of(body)
    output = document.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    blocks = content if isinstance(content, list) else []
    finish = read_finish(document.get("stopReason"))
    choice = Choice(read_blocks(blocks), finish, citations=tuple(_citations(blocks)))
    return Answer((choice,), usage=usage_in(document.get("usage")))


def _citations(content: list[Any]) -> Iterator[Citation]:
    """What its texts cite."""
    at = 0
    for block in content:
        length = sum(len(part.text) for part in read_blocks([block]) if isinstance(part, Text))
        cited = block.get("citationsContent") if isinstance(block, dict) else None
        listed = cited.get("citations") if isinstance(cited, dict) else None
        for each in listed if isinstance(listed, list) else ():
            if (cites := read_citation(each, at, at + length)) is not None:
                yield cites
        at += length


def read_citation(citation: Any, start: int, end: int) -> Citation | None:
    """start, end: of the text that cites it. None for a source that other formats could not name."""
    fields = Fields.of(citation, "", FORMAT, strict=False)
    title, source = fields.text("title"), fields.text("source")
    said = fields.left.get("sourceContent")
    quote = "".join(Fields.of(each, "", FORMAT, strict=False).text("text") for each in _list(said))
    place = next(iter(fields.inner("location").left.values()), None)  # its only member is named after its kind
    at = Fields.of(place, "", FORMAT, strict=False)
    url = at.text("url") or (source if source.startswith(("https://", "http://")) else "")
    number = at.whole("documentIndex")
    if not url and not source and number is None:
        return None
    return Citation(url, title, start, end, quote, "" if url else source, number)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def read_finish(reason: Any) -> Finish | None:
    return _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) and reason else None
