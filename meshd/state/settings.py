"""What the keeper needs from the configuration's section `storage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class StateSettings(msgspec.Struct, frozen=True):
    """timezone: for the days on which spend is counted."""

    connector: str = "modelmesh.sqlite.v1"
    settings: Mapping[str, Any] = {}
    sync_policy: str = "periodic"
    sync_interval: float = 5.0
    timezone: str = "UTC"

    @classmethod
    def of(cls, section: Any, timezone: str = "UTC") -> StateSettings:
        """From the configuration's section `storage`, and `daemon.timezone`."""
        return cls(section.connector, section.settings, section.sync_policy, section.sync_interval, timezone)
