"""What the keeper needs of the configuration's section `storage`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StateSettings:
    connector: str = "modelmesh.sqlite.v1"
    settings: Mapping[str, Any] = field(default_factory=dict)
    sync_policy: str = "periodic"
    sync_interval: float = 5.0

    @classmethod
    def of(cls, section: Any) -> StateSettings:
        """From the configuration's section `storage`."""
        return cls(section.connector, section.settings, section.sync_policy, section.sync_interval)
