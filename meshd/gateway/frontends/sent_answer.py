"""An answer that was sent, kept in case it is lost with its connection.

Must never: know a transport.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.gateway.frontends.exchange import Reply
from modelmesh.errors import MeshError


class Answer(msgspec.Struct, frozen=True):
    """An answer as it was sent, a body or an error, so that it can be sent once more."""

    body: bytes = b""
    mesh: dict[str, Any] = {}
    headers: dict[str, str] | None = None
    error: MeshError | None = None

    @property
    def size(self) -> int:
        """Bytes, approximately."""
        return len(self.body) if self.error is None else len(self.error.message)

    def give(self, reply: Reply) -> None:
        if self.error is not None:
            reply.error(self.error)
        else:
            reply.respond(self.body, self.mesh, self.headers)
