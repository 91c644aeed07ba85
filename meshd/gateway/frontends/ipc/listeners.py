"""The further addresses of the mesh socket, by the running configuration: `daemon.listen` and `daemon.curve`.

Owns: these listening sockets, the daemon's CURVE key, and which keys of clients are admitted.
Must never: end the daemon because an address is taken, or let other machines in without CURVE.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from meshd.compilation.before_start.curve_key import key_in_use
from meshd.compilation.before_start.posture import untrusted_socket
from meshd.config.schema import DaemonConfig
from meshd.core.caller import Peer, Token, is_owner, of_key
from meshd.core.listen_address import ListenAddress, parse, shown
from meshd.core.text.z85 import encode_key
from meshd.gateway.frontends.acceptor import Acceptor
from meshd.gateway.frontends.ipc.socket_claim import Claim
from meshd.gateway.frontends.shares.connection_places import ConnectionPlaces
from meshd.host.users import gid_of
from modelmesh.errors import ConfigurationError, MeshError

if TYPE_CHECKING:
    from meshd.gateway.frontends.ipc.curve.session import DaemonKey

logger = logging.getLogger("meshd.gateway")

Connected = Callable[["Listener", socket.socket, Peer], None]
"""Called with a connection and the caller at its other end."""


class Listener:
    """One address. address: with its real port, when it is open. curve: whether its clients have to show a key."""

    def __init__(self, connected: Connected, places: ConnectionPlaces, *, curve: bool, is_unix: bool) -> None:
        self.address = ""
        self.curve = curve
        objection = {} if curve or is_unix else {"objection": _needs_key}
        self._acceptor = Acceptor(partial(connected, self), places, **objection)
        self._claim: Claim | None = None

    def at_port(self, loop: asyncio.AbstractEventLoop, address: ListenAddress) -> None:
        """Raises OSError, ValueError."""
        if not self.curve and not address.is_loopback:
            raise ValueError("other machines can reach it, so daemon.curve needs a key")
        self.address = shown(address.host, self._acceptor.listen_tcp(loop, address.host, address.port))

    def at_path(self, loop: asyncio.AbstractEventLoop, path: Path, config: DaemonConfig) -> None:
        """Raises OSError, MeshError."""
        group = config.socket_group
        self._claim = Claim(path)
        place = untrusted_socket(path) if config.strict else None
        if place is not None:
            raise ConfigurationError(place.message)
        self._acceptor.listen(loop, str(path), None, config.socket_mode, gid_of(group) if group else None)
        self.address = f"ipc://{path}"

    def stop(self) -> None:
        self._acceptor.stop()

    def close(self) -> None:
        self._acceptor.close()
        if self._claim is not None:
            if self.address:
                self._claim.path.unlink(missing_ok=True)
            self._claim.release()


class FurtherListeners:
    """connected: called with the connections of all addresses. places: for them.

    problems: why addresses of the configuration are not open.
    """

    def __init__(self, connected: Connected, places: ConnectionPlaces) -> None:
        self.problems: list[str] = []
        self.key: DaemonKey | None = None
        self._clients: dict[str, str] = {}  # digest of a key → app
        self._connected = connected
        self._places = places
        self._loop: asyncio.AbstractEventLoop | None = None
        self._config = DaemonConfig()
        self._open: dict[tuple[object, ...], Listener] = {}  # by what each is made of

    @property
    def addresses(self) -> list[str]:
        """Those that are open."""
        return [listener.address for listener in self._open.values()]

    @property
    def public_key(self) -> str:
        """The daemon's, in Z85; "" without CURVE."""
        return encode_key(self.key.public) if self.key is not None else ""

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listen()

    def use(self, config: DaemonConfig, clients: Mapping[str, str]) -> list[Listener]:
        """Use another configuration from now on; returns the listeners that were closed. clients: public key in Z85 →
        app."""
        try:
            key = key_of(config)
        except MeshError as error:  # none, if `objections` was called first
            logger.error("the addresses and keys of the mesh socket stay as they are: %s", error)
            return []
        if key is None or self.key is None or key.public != self.key.public:
            self.key = key
        self._config, self._clients = config, {of_key(public): app for public, app in clients.items()}
        return self._listen()

    def holder(self, public: bytes) -> Token | None:
        """The holder of this key; None if the key is not admitted."""
        digest = of_key(encode_key(public))
        app = self._clients.get(digest)
        return None if app is None else Token(digest, app)

    def admits(self, holder: Token) -> bool:
        """Whether the key is still admitted, and for the same app."""
        return self._clients.get(holder.digest) == holder.name

    def stop(self) -> None:
        for listener in self._open.values():
            listener.stop()

    def close(self) -> None:
        for listener in self._open.values():
            listener.close()
        self._open.clear()
        self._loop = None

    # -- inside ---------------------------------------------------------------------------------------

    def _listen(self) -> list[Listener]:
        if self._loop is None:
            return []
        wanted = {self._made_of(text): text for text in self._config.listen}
        gone = [self._open.pop(made_of) for made_of in list(self._open) if made_of not in wanted]
        for listener in gone:
            listener.close()
        self.problems.clear()
        for made_of, text in wanted.items():
            if made_of not in self._open and (made := self._add(self._loop, text)) is not None:
                self._open[made_of] = made
        return gone

    def _made_of(self, text: str) -> tuple[object, ...]:
        if text.startswith("tcp://"):
            return text, self.key is not None
        return text, self._config.socket_mode, self._config.socket_group

    def _add(self, loop: asyncio.AbstractEventLoop, text: str) -> Listener | None:
        try:
            address = parse(text)
        except ValueError as error:  # the configuration's check has reported it
            self.problems.append(str(error))
            return None
        curve = self.key is not None and not address.path
        made = Listener(self._connected, self._places, curve=curve, is_unix=bool(address.path))
        try:
            if address.path:
                made.at_path(loop, Path(os.path.expanduser(address.path)), self._config)
            else:
                made.at_port(loop, address)
        except (OSError, ValueError, MeshError) as error:
            made.close()
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            why = "another program listens there; end it, or choose another address" if taken else str(error)
            self.problems.append(f"{text}: {why}")
            logger.warning("daemon.listen: %s: %s", text, why)
            return None
        return made


def key_of(config: DaemonConfig) -> DaemonKey | None:
    """The daemon's key; None if no address needs one. Raises MeshError."""
    secret = key_in_use(config)
    if secret is None:
        return None
    from meshd.gateway.frontends.ipc.curve.session import DaemonKey  # and with it libsodium

    return DaemonKey(secret)


def _needs_key(caller: Peer) -> str:
    """The refusal over TCP without CURVE, where the kernel names the user of a program on this machine."""
    return "" if is_owner(caller) else "over TCP without daemon.curve, only the daemon's user is admitted"
