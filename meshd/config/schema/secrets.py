"""The section `secrets`."""

from __future__ import annotations

from pydantic import Field

from meshd.config.schema.base import Duration, OpenSection
from meshd.config.schema.entries import ConnectorEntry, Entries


class SecretsConfig(OpenSection):
    """Where secrets come from. `store` lists the stores in the order they are asked."""

    store: Entries = Field(
        default=(ConnectorEntry(connector="modelmesh.env.v1"),),
        description="Secret store: a connector id, or a list tried in order. An entry may be a map with "
        "`connector` and that store's own keys.",
        json_schema_extra={"shown_default": "modelmesh.env.v1"},
    )
    cache_ttl: Duration = Field(default=300.0, description="How long a resolved value is kept in memory.")
    cache_enabled: bool = Field(default=True, description="Keep resolved values in memory at all.")
    reload_on_rotation: bool = Field(default=True, description="Resolve again when a standby provider becomes active.")
    fail_on_missing: bool = Field(
        default=False,
        description="A missing secret is a configuration error; `false`: the provider that needs it is "
        "left out with that reason. Unless written, `meshd --check` takes it for `true`.",
    )
