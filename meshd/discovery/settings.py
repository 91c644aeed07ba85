"""What discovery does with model lists and probes, from the configuration's section `discovery`.

Owns: the defaults, which the schema takes from here.
Must never: import what lists or probes; whatever reads a configuration imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from meshd.core.by_name import record_of

LEAST_APART = 1.0  # s between two syncs, or two probes of one provider, however short the interval

ProbeMethod = Literal["auto", "models", "completion"]
OnNewModel = Literal["register", "notify", "ignore"]
OnDeprecatedModel = Literal["deactivate", "notify", "ignore"]


class SyncSettings(msgspec.Struct, frozen=True):
    enabled: bool = True
    interval: float = 3600.0  # s
    auto_register: bool = False
    providers: tuple[str, ...] = ()  # none: all
    on_new_model: OnNewModel = "register"
    on_deprecated_model: OnDeprecatedModel = "deactivate"

    @classmethod
    def of(cls, section: Any) -> SyncSettings:
        """From `discovery.sync`."""
        settings = record_of(cls, section)
        return msgspec.structs.replace(settings, interval=max(settings.interval, LEAST_APART))


class HealthSettings(msgspec.Struct, frozen=True):
    """quotas: the providers whose quota is read with each probe. methods: of providers that have one of their own."""

    enabled: bool = True
    interval: float = 60.0  # s
    timeout: float = 10.0  # s
    failure_threshold: int = 3
    providers: tuple[str, ...] = ()  # none: all
    method: ProbeMethod = "auto"
    quotas: frozenset[str] = frozenset()
    methods: Mapping[str, str] = {}

    @classmethod
    def of(
        cls, section: Any, quotas: frozenset[str] = frozenset(), methods: Mapping[str, str] | None = None
    ) -> HealthSettings:
        """From `discovery.health`."""
        settings = record_of(cls, section)
        interval = max(settings.interval, LEAST_APART)
        return msgspec.structs.replace(settings, interval=interval, quotas=quotas, methods=methods or {})


def concerns(settings: SyncSettings | HealthSettings, provider: str) -> bool:
    """Whether they are switched on for this provider."""
    return settings.enabled and (not settings.providers or provider in settings.providers)
