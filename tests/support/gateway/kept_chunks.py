"""A reply that keeps what it was sent, for what only sends chunks."""

from __future__ import annotations

from typing import Any

from meshd.gateway.frontends.exchange import Reply
from modelmesh import MeshError


class KeptChunks(Reply):
    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[bytes] = []

    async def chunk(self, data: bytes) -> None:
        self.chunks.append(data)

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        raise AssertionError("a stream was answered as a whole")

    def error(self, error: MeshError) -> None:
        raise error

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        raise AssertionError("who delivers does not end a stream")
