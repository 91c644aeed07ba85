"""Answers of services over HTTP, read up to a bound. For threads of connectors, not for the router's loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


class TooLong(Exception):
    """The answer is larger than allowed."""


def sent(client: httpx.Client, request: httpx.Request, most: int) -> tuple[httpx.Response, bytes]:
    """(the answer, its content). most: bytes of the content. Raises TooLong, httpx.HTTPError."""
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
