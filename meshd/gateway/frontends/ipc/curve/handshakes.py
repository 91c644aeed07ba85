"""The connections at addresses of CURVE whose clients have not shown a key yet.

Owns: how many there are at a time, and which of them is closed when there are too many.
Must never: let a network keep the clients of another one from showing their keys.

Each costs four multiplications on the curve (some 150 µs), before it is known who asks. `connection_places.py` limits
how fast a network makes them, as all its connections; the heartbeat limits how long each may take. All handshakes
together take turns in the loop like a single user, however many networks they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from meshd.gateway.frontends.ipc.connections import Connection
from meshd.gateway.frontends.shares.connection_places import ConnectionPlaces

HANDSHAKES = "handshakes"
"""The user under which all of them together count for turns and room."""
TOO_MANY = "too many others were about to show a key"
_PART = 8  # together, they may have one in eight of all places for connections
_FEWEST = 4


class Handshakes:
    """lose: called with the connection to close."""

    def __init__(self, places: ConnectionPlaces, lose: Callable[[Connection, str], None]) -> None:
        self._places = places
        self._lose = lose
        self._networks: dict[Hashable, dict[Connection, None]] = {}
        self._of: dict[Connection, Hashable] = {}

    def __len__(self) -> int:
        return len(self._of)

    def began(self, connection: Connection) -> None:
        """If there are too many, the network with the most of them loses its oldest: a client that wants to be served
        is done within a few round trips, and an attacker that only fills places takes them from itself."""
        network = connection.caller.shares_as
        self._of[connection] = network
        self._networks.setdefault(network, {})[connection] = None
        if len(self._of) > max(self._places.capacity // _PART, _FEWEST):
            most = max(self._networks, key=self._count)
            self._lose(next(iter(self._networks[most])), TOO_MANY)

    def ended(self, connection: Connection) -> None:
        """It has shown a key, or was lost. Idempotent."""
        network = self._of.pop(connection, None)
        if network is not None:
            others = self._networks[network]
            del others[connection]
            if not others:
                del self._networks[network]

    def _count(self, network: Hashable) -> int:
        return len(self._networks[network])
