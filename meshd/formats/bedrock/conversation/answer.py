"""A message of the model as an answer.

What a provider sends is read as far as it goes: `formats/bedrock/answer.py` has judged whether it is an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.formats.bedrock.conversation.content import read_blocks
from meshd.formats.bedrock.usage import usage_in
from meshd.formats.conversation.answer import Answer, Choice, Citation, Finish
from meshd.formats.conversation.parts import Text
from meshd.formats.conversation.reading import Unreadable, answer_of, not_too_deep

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
    """The pages that its texts cite."""
    at = 0
    for block in content:
        length = sum(len(part.text) for part in read_blocks([block]) if isinstance(part, Text))
        cited = block.get("citationsContent") if isinstance(block, dict) else None
        listed = cited.get("citations") if isinstance(cited, dict) else None
        for each in listed if isinstance(listed, list) else ():
            if (page := read_citation(each, at, at + length)) is not None:
                yield page
        at += length


def read_citation(citation: Any, start: int, end: int) -> Citation | None:
    """start, end: of the text that cites it. None for what is not a page, such as a place in a document."""
    said = citation if isinstance(citation, dict) else {}
    location = said.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    url, title = web.get("url") if isinstance(web, dict) else None, said.get("title")
    if not isinstance(url, str) or not url:
        return None
    return Citation(url, title if isinstance(title, str) else "", start, end)


def read_finish(reason: Any) -> Finish | None:
    return _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) and reason else None
