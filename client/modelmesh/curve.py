"""The CurveZMQ keys with which a client is admitted at a `tcp://` address.

Must never: show a key. Each is looked for, in this order, among the client's arguments, in the environment
(`MESH_CURVE_SERVER_KEY`, `MESH_CURVE_SECRET_KEY`, `MESH_CURVE_PUBLIC_KEY`), and in `~/.config/meshd/client.toml`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from modelmesh.errors import ConfigurationError

NAMES: Final = ("curve_server_key", "curve_secret_key", "curve_public_key")
"""As arguments and in the profile."""
_LENGTH: Final = 40  # characters of a key in Z85


class CurveAddress(str):
    """A `tcp://` address, and the keys that are used there. Clients with other keys do not share its connection.

    server, public, secret: in Z85. secret: of this client's pair.
    """

    server: bytes
    public: bytes
    secret: bytes

    def __new__(cls, address: str, server: bytes, public: bytes, secret: bytes) -> CurveAddress:
        made = super().__new__(cls, address)
        made.server, made.public, made.secret = server, public, secret
        return made

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, CurveAddress) and (self.server, self.secret) == (other.server, other.secret)
        return same and str.__eq__(self, str(other))

    def __hash__(self) -> int:
        return hash((str.__hash__(self), self.server, self.public))


def secured(address: str, given: Mapping[str, str | None], profile: Mapping[str, Any], profile_path: str) -> str:
    """A `tcp://` address with its keys. Without any, an address on this machine stays as it is, since there the kernel
    says who asks. Raises ConfigurationError."""
    server, secret, public = (_found(name, given, profile, profile_path) for name in NAMES)
    if not server:
        if _is_loopback(address):
            return address
        raise ConfigurationError(
            f"{address} needs the daemon's public key: curve_server_key, or MESH_CURVE_SERVER_KEY; the daemon's "
            "operator gives it, and `meshctl curve create` makes yours"
        )
    if not secret:
        raise ConfigurationError(f"{address} needs this client's own key: curve_secret_key, or MESH_CURVE_SECRET_KEY")
    import zmq

    if not zmq.has("curve"):
        raise ConfigurationError("this libzmq is built without CURVE; install pyzmq from PyPI")
    made = _public_of(zmq, secret)
    if public and public.encode() != made:
        raise ConfigurationError("curve_public_key belongs to another secret key; leave it out")
    return CurveAddress(address, server.encode(), made, secret.encode())


def _found(name: str, given: Mapping[str, str | None], profile: Mapping[str, Any], profile_path: str) -> str:
    """A key, or "". Raises ConfigurationError."""
    value: Any = given.get(name) or os.environ.get(f"MESH_{name.upper()}")
    if not value and profile.get(name):
        value = profile[name]
        if name == "curve_secret_key" and os.stat(profile_path).st_mode & 0o077:
            raise ConfigurationError(f"others can read {profile_path}, which contains a key: chmod 600 {profile_path}")
    if not value:
        return ""
    key = value.strip() if isinstance(value, str) else ""
    if len(key) != _LENGTH or not key.isascii():
        raise ConfigurationError(f"{name} is not a CurveZMQ key ({_LENGTH} characters of Z85)")
    return key


def _public_of(zmq: Any, secret: str) -> bytes:
    """Raises ConfigurationError."""
    try:
        made: bytes = zmq.curve_public(secret.encode())
    except zmq.ZMQError:
        raise ConfigurationError("curve_secret_key is not a CurveZMQ key: it is not Z85") from None
    return made


def _is_loopback(address: str) -> bool:
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdecimal())
