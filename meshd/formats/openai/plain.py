"""An answer that is a text: a transcript, or subtitles."""

from __future__ import annotations

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, Unanswered
from meshd.formats.errors.wrong_address import is_web_page
from meshd.formats.openai import wire
from meshd.formats.protocol import Reading
from meshd.sdk.reading import lenient

TEXT = "text/plain; charset=utf-8"


def read_text(body: bytes) -> Reading:
    """A server that does not know the format answers in JSON, which is passed on as it is. Raises NotAnAnswer."""
    if not body:
        raise Unanswered("with an empty body")
    if body.lstrip()[:1] == b"{":
        try:
            document, plain = wire.document_of(body)
        except Broken:
            return Reading(body, None, len(body), TEXT)
        if error_answers.is_error(document):
            raise wire.error_inside(lenient.plain(document), document)
        return Reading(plain, None)
    if is_web_page(body):
        raise Broken("a web page")
    return Reading(body, None, len(body), TEXT)
