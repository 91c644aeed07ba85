"""A unary response: its validity and its usage.

Owns: distinguishing a response from an error, and from one that says nothing.
Must never: change a byte that an app can read, or refuse a response for a field it does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, ErrorInside, Unanswered
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.formats.responses import wire
from meshd.formats.responses.usage import usage_in
from meshd.sdk.reading import lenient


def read_answer(body: bytes) -> Reading:
    """Raises NotAnAnswer."""
    document, body = document_of(body)
    output = document.get("output")
    usage = usage_in(document)
    if not isinstance(output, list):
        if error_answers.is_error({**document, "usage": None}) or _is_doubtful(document):
            raise ErrorInside(lenient.plain(document), usage)
        raise Unanswered("without output", usage)
    said = wire.said_in(wire.output_of(document))
    if wire.is_failed(document):
        raise ErrorInside(wire.error_of(document), usage, said.text + said.reasoning)
    if not any(said) and not output and document.get("status") in (None, "completed"):
        raise Unanswered("with output that says nothing", usage)
    return Reading(body, usage, sum(map(len, said)))


def _is_doubtful(document: Mapping[str, Any]) -> bool:
    return error_answers.of_object(document) is not error_answers.Sign.ALIVE


def answer_text(body: bytes) -> str:
    """See `AppSide.answer_text`."""
    try:
        document, _ = document_of(body)
    except Broken:
        return body.decode(errors="replace")
    if not isinstance(document.get("output"), list):
        return body.decode(errors="replace")
    return "\n".join(text for text in wire.said_in(wire.output_of(document)) if text)
