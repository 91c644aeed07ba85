"""What may come with a good status instead of an answer or an event.

Owns: which failure of a provider it is. The code that reads error texts is imported at the first error.
Must never: know how a format writes it (each format's `wire.py` and `answer.py` do).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from meshd.formats.errors import error_answers
from meshd.sdk.provider import FailureKind, ProviderFailure, Usage
from meshd.sdk.reading import lenient


class NotAnAnswer(Exception):
    def failure(self, body: bytes, host: str, url: str) -> ProviderFailure:
        """body: what was read. host, url: of the provider, without secrets."""
        raise NotImplementedError


class Broken(NotAnAnswer, ValueError):
    """Not JSON, or not an object."""

    def failure(self, body: bytes, host: str, url: str) -> ProviderFailure:
        from meshd.formats.errors.response_failures import failure_from_no_answer

        return failure_from_no_answer(url, body)


class ErrorInside(NotAnAnswer):
    """An error came. error: the error, or the object around it, as plain JSON. usage, said: the usage and the text that
    came with it; both cost something."""

    def __init__(self, error: bytes, usage: Usage | None = None, said: str = "") -> None:
        super().__init__("an error inside a 200")
        self.error = error
        self.usage = usage
        self.said = said

    def failure(self, body: bytes = b"", host: str = "", url: str = "") -> ProviderFailure:
        from meshd.formats.errors.response_failures import failure_from_error_object

        return failure_from_error_object(self.error, self.usage, self.said)


class Unanswered(NotAnAnswer):
    """It is JSON, but not an answer. lacks: what is missing. usage: it may have cost something."""

    def __init__(self, lacks: str, usage: Usage | None = None) -> None:
        super().__init__(lacks)
        self.usage = usage

    def failure(self, body: bytes, host: str, url: str) -> ProviderFailure:
        message = f"{host} answered {self}"
        return ProviderFailure(FailureKind.BAD_ANSWER, message, status=200, body=body[:4096], usage=self.usage)


class NotAnEvent(Exception):
    """In a stream, an object that is not an event. doubtful: its words might be an error. end: it marks the end."""

    def __init__(self, *, doubtful: bool = False, end: bool = False) -> None:
        super().__init__("not an event")
        self.doubtful = doubtful
        self.end = end


def no_event(
    document: Mapping[str, Any],
    error_inside: Callable[[bytes, Mapping[str, Any]], ErrorInside] = lambda error, document: ErrorInside(error),
) -> ErrorInside | NotAnEvent:
    """How to treat an object that a stream's format does not know. error_inside: makes the error from its JSON and the
    object, with what came beside it."""
    sign = error_answers.of_object(document)
    if sign is error_answers.Sign.ERROR:
        return error_inside(lenient.plain(document), document)
    return NotAnEvent(doubtful=sign is error_answers.Sign.DOUBTFUL, end=error_answers.ends(document))
