"""What a provider connector is created from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Of a call, in seconds, unless the configuration says otherwise.
CALL_TIMEOUT = 60.0
FIRST_TOKEN_TIMEOUT = 30.0
IDLE_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class ManagedServer:
    """A server that the daemon starts and stops. env: added to a part of the daemon's environment. ready: a URL path;
    "": that of its list of models. start_timeout, idle_timeout: seconds; idle_timeout None: it is not stopped."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    ready: str = ""
    start_timeout: float = 60.0
    idle_timeout: float | None = None
    restart: bool = True


@dataclass(slots=True)
class ProviderSettings:
    """A connector's configuration with every reference resolved.

    auth: the keys of `auth` that belong to its method. api_keys: fingerprint → key, if there are several; each call
    names the one to use. options: the connector's own keys in the configuration. quirks: from the catalogue's row.
    secrets: all secret values in its section, written there or resolved from references. runtime_dir, data_dir: private
    directories of the daemon that a connector may use; runtime_dir is "" if the daemon has none at its socket. found:
    discovery found the server, and the configuration does not name it.
    """

    name: str
    connector: str
    base_url: str | None = None
    api_key: str | None = None
    auth_method: str | None = None
    auth: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = CALL_TIMEOUT
    connect_timeout: float = 5.0
    max_retries: int = 0
    max_connections: int = 256
    keepalive: float = 90.0
    http2: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    api_keys: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    quirks: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    runtime_dir: str = ""
    data_dir: str = ""
    found: bool = False
    managed: ManagedServer | None = field(default=None, repr=False)

    def __repr__(self) -> str:  # without keys and headers
        return f"ProviderSettings(name={self.name!r}, connector={self.connector!r}, base_url={self.base_url!r})"
