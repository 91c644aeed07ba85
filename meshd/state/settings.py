"""What the keeper needs from the configuration's section `storage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.connectors.storage.encoded import Form


class StateSettings(msgspec.Struct, frozen=True):
    """timezone: for the days on which spend is counted. format, compression, key, key_file: how values are written.
    lease: whether a remote storage is locked; lease_timeout, lease_retry: s that a start waits for it, and between two
    attempts."""

    connector: str = "modelmesh.sqlite.v1"
    settings: Mapping[str, Any] = {}
    sync_policy: str = "periodic"
    sync_interval: float = 5.0
    timezone: str = "UTC"
    format: str = "json"
    compression: str = "none"
    key: str | None = None
    key_file: str | None = None
    lease: bool = True
    lease_timeout: float = 10.0
    lease_retry: float = 0.5

    @classmethod
    def of(cls, section: Any, timezone: str = "UTC") -> StateSettings:
        """From the configuration's section `storage`, and `daemon.timezone`."""
        secret, locking = section.encryption, section.locking
        return cls(
            section.connector,
            section.settings,
            section.sync_policy,
            section.sync_interval,
            timezone,
            section.format,
            section.compression,
            secret.key,
            secret.key_file,
            locking.enabled,
            locking.timeout,
            locking.retry_interval,
        )

    @property
    def place(self) -> tuple[Any, ...]:
        """What another storage would have to be opened for."""
        form = (self.format, self.compression, self.key, self.key_file)
        return self.connector, self.settings, *form, self.lease

    def form(self) -> Form | None:
        """None: as they are. Raises ValueError."""
        form = Form.of(self.format, self.compression, self.key, self.key_file)
        return None if form == Form() else form
