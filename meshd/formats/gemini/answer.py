"""A unary answer: a response, its validity and its usage.

Owns: distinguishing an answer from an error, and from a response that says nothing.
Must never: change a byte that an app can read, or refuse an answer for a field that it does not need.

A blocked prompt counts as answered, without any candidate; and a candidate with a finish reason is an answer, even if
it is empty.
"""

from __future__ import annotations

from typing import Any

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, Unanswered
from meshd.formats.gemini.wire import candidates_of, error_inside, read, said_in
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.reading import lenient


def read_answer(body: bytes) -> Reading:
    """Raises NotAnAnswer."""
    found = read(body)
    size = len(found.text) + len(found.thought) + len(found.extra)
    if size or found.finish is not None:
        return Reading(found.data, found.usage, size)
    document, _ = document_of(body)
    if error_answers.is_error({**document, "usage": None}):
        raise error_inside(lenient.plain(document), document)
    if "choices" in document:
        raise Unanswered("in OpenAI's format: is its connector or its base_url the right one?", found.usage)
    if not candidates_of(document) and error_answers.of_object(document) is not error_answers.Sign.ALIVE:
        raise error_inside(lenient.plain(document), document)
    raise Unanswered("with empty candidates" if candidates_of(document) else "without candidates", found.usage)


def answer_text(body: bytes) -> str:
    """See `AppSide.answer_text`."""
    try:
        document = document_of(body)[0]
    except Broken:
        document = {}
    said = [text for candidate in candidates_of(document) for text in said_in(candidate) if text]
    return "\n".join(said) if said else body.decode(errors="replace")


def as_chunks(body: bytes) -> list[bytes]:
    """What came in place of a stream: one response, or the array of chunks that is sent without `alt=sse`."""
    if body.lstrip()[:1] != b"[":
        return [read_answer(body).body]
    try:
        chunks: Any = lenient.decode(body)
    except lenient.NotJSON as why:
        raise Broken(str(why)) from None
    if not isinstance(chunks, list) or not chunks or not all(isinstance(chunk, dict) for chunk in chunks):
        raise Broken("no list of responses")
    if "error" in chunks[0]:
        raise error_inside(lenient.plain(chunks[0]), chunks[0])
    return [lenient.encode(chunk) for chunk in chunks]
