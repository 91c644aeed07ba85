"""What the keeper needs from the configuration's section `storage`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from meshd.connectors.storage.encoded import Form


class StateSettings(msgspec.Struct, frozen=True):
    """timezone: for the days on which spend is counted. format, compression, key, key_file: how values are written.
    lease: whether a remote storage is locked; lease_timeout, lease_retry: s that a start waits for it, and s between
    two attempts. awaits, key_awaits: the secrets that its settings and its key need and that no store gives now. No
    field has a default: the schema has them."""

    connector: str
    settings: Mapping[str, Any]
    sync_policy: str
    sync_interval: float
    timezone: str
    format: str
    compression: str
    key: str | None
    key_file: str | None
    lease: bool
    lease_timeout: float
    lease_retry: float
    awaits: tuple[str, ...]
    key_awaits: tuple[str, ...]

    @classmethod
    def of(
        cls, section: Any, timezone: str = "UTC", awaits: Iterable[str] = (), key_awaits: Iterable[str] = ()
    ) -> StateSettings:
        """From the configuration's section `storage`, and `daemon.timezone`."""
        return cls(
            connector=section.connector,
            settings=section.settings,
            sync_policy=section.sync_policy,
            sync_interval=section.sync_interval,
            timezone=timezone,
            format=section.format,
            compression=section.compression,
            key=section.encryption.key,
            key_file=section.encryption.key_file,
            lease=section.locking.enabled,
            lease_timeout=section.locking.timeout,
            lease_retry=section.locking.retry_interval,
            awaits=tuple(awaits),
            key_awaits=tuple(key_awaits),
        )

    @property
    def place(self) -> tuple[Any, ...]:
        """The settings that decide which storage is opened: if they change, another has to be opened."""
        form = (self.format, self.compression, self.key, self.key_file)
        return *self.location, *form, self.lease

    @property
    def location(self) -> tuple[Any, ...]:
        """Where values are, in whatever form."""
        return self.connector, self.settings

    @property
    def lacks(self) -> str:
        """Why the storage cannot be opened yet, "" if it can."""
        return f"the storage {self.connector} waits for {_named(self.awaits)}" if self.awaits else ""

    def form(self) -> Form:
        """How values are written; values of every other form are read as well. Raises ValueError."""
        if self.key_awaits:
            raise ValueError(f"storage.encryption waits for {_named(self.key_awaits)}")
        try:
            return Form.of(self.format, self.compression, self.key, self.key_file)
        except ValueError as error:
            raise ValueError(f"storage.encryption: {error}") from None


def _named(secrets: tuple[str, ...]) -> str:
    return f"the secret {' and '.join(secrets)}, whose store does not answer"
