"""An answer as messages of the protocol, sent over the connection of its request.

Owns: the frames of an answer. Must never: decide what an app gets.
"""

from __future__ import annotations

from typing import Any, Protocol

from meshd.gateway.frontends.credit import CreditedReply
from meshd.gateway.frontends.exchange import ClientGone, Deadline
from meshd.gateway.frontends.ipc.connections import Connection
from meshd.gateway.frontends.sent_answer import Answer
from modelmesh import protocol as wire
from modelmesh.errors import MeshError


class Sender(Protocol):
    """The part of the server that a reply uses."""

    def send(self, connection: Connection, frames: list[bytes]) -> bool:
        """Returns False if the connection is closed."""

    def finished(self, reply: IpcReply, frames: list[bytes], answer: Answer | None) -> None:
        """Send a reply's last message. answer: what may be sent again; None for a stream."""


class IpcReply(CreditedReply):
    __slots__ = ("_sender", "connection", "request_id")

    def __init__(
        self, sender: Sender, connection: Connection, request_id: bytes, deadline: Deadline, credit: int
    ) -> None:
        super().__init__(deadline, credit)
        self._sender = sender
        self.connection = connection
        self.request_id = request_id

    @property
    def full(self) -> bool:
        return self.connection.full

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        frames = wire.encode(wire.RESPONSE, self.request_id, wire.ResponseHead(headers=headers or {}, mesh=mesh), body)
        self._finish(frames, Answer(body, mesh, headers))

    def error(self, error: MeshError) -> None:
        status, body, mesh = error.to_wire()
        frames = wire.encode(wire.ERROR, self.request_id, wire.ErrorHead(status, body, mesh))
        self._finish(frames, Answer(error=error))

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self._finish(wire.encode(wire.END, self.request_id, wire.EndHead(usage, mesh)), None)

    def _send_chunk(self, data: bytes) -> None:
        frames = [wire.CHUNK, self.request_id, b"", data]
        if self.file is not None and not self.sent:
            frames = wire.encode(wire.CHUNK, self.request_id, wire.ChunkHead({"content-type": self.file}), data)
        if not self._sender.send(self.connection, frames):
            raise ClientGone

    def _finish(self, frames: list[bytes], answer: Answer | None) -> None:
        if not self.done:
            self.done = True
            self._sender.finished(self, frames, answer)
