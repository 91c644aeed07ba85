"""From the section `secrets` to the stores that the resolver asks."""

from __future__ import annotations

from pathlib import Path

from meshd.config import MeshConfig
from meshd.core.secret_sources import SecretSources


def secret_sources(config: MeshConfig) -> SecretSources:
    section = config.secrets
    return SecretSources(
        # The section's own keys are shared by all of its stores.
        tuple((entry.connector, {**section.settings, **entry.settings}) for entry in section.store),
        section.cache_ttl if section.cache_enabled else 0.0,
        str(Path(config.file).absolute().parent) if config.file else "",
        section.timeout,
    )
