"""The error of a stream that ends before its answer is complete.

Must never: send it, or decide whether another model may continue the stream.
"""

from __future__ import annotations

from typing import Any

from meshd.gateway.requests.streams.relay import Broken
from modelmesh.errors import MeshError, RequestCancelledError, RequestTimeoutError, StreamInterrupted
from modelmesh.wording import short, told


def interrupted(broken: Broken, provider: str, pieces: int, attempts: list[dict[str, Any]]) -> MeshError:
    """The stream broke, and no model can continue it. pieces: of content that the app has."""
    if broken.error is None:
        return _broken_off(f"Provider {short(provider)}", broken.failure.message, pieces, attempts)
    broken.error.attempts = attempts
    return broken.error


def within_a_stream(error: MeshError, pieces: int, attempts: list[dict[str, Any]]) -> MeshError:
    """The error for an app whose request fails after a part of the answer."""
    if isinstance(error, StreamInterrupted | RequestTimeoutError | RequestCancelledError):
        return error
    return _broken_off("A provider", f"no other model could continue it: {error.message}", pieces, attempts)


def _broken_off(what: str, why: str, pieces: int, attempts: list[dict[str, Any]]) -> StreamInterrupted:
    sentence = f"{what} cut the stream off after {pieces} pieces of content; ask again."
    return StreamInterrupted(told(sentence, why), attempts=attempts)
