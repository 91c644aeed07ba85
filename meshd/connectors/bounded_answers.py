"""Answers of services over HTTP, read up to a bound. For threads of connectors, not for the router's loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


class TooLong(Exception):
    """The answer has more bytes than it may have."""


def sent(client: httpx.Client, request: httpx.Request, most: int) -> tuple[httpx.Response, bytes]:
    """The answer, and its content of at most so many bytes. Raises TooLong, httpx.HTTPError."""
    answer = client.send(request, stream=True)
    try:
        content = bytearray()
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > most:
                raise TooLong
    finally:
        answer.close()
    return answer, bytes(content)
