"""How a package describes its connectors without importing any of their code.

Owns: `ConnectorSpec`, the types of connectors, and the base class of each type.
Must never: import a connector. A spec names its class and its settings as text, and both are imported when needed.

A package offers its connectors through an entry point in the group `meshd.connectors`, whose value is a tuple of specs.
The daemon's own connectors are registered the same way. `docs/connectors.md` shows a whole package.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshd.host import installing

ENTRY_POINTS = "meshd.connectors"
DISTRIBUTION = installing.DISTRIBUTION

PROVIDER = "provider"
ROTATION = "rotation"
SECRET_STORE = "secret-store"
STORAGE = "storage"
OBSERVABILITY = "observability"
DISCOVERY = "discovery"
HOOK = "hook"

BASES = {
    PROVIDER: "meshd.sdk.provider:Provider",
    ROTATION: "meshd.sdk.strategy:Strategy",
    SECRET_STORE: "meshd.sdk.secrets:SecretStore",
    STORAGE: "meshd.sdk.storage:Storage",
    OBSERVABILITY: "meshd.sdk.observability:Sink",
    DISCOVERY: "meshd.sdk.discovery:Discovery",
    HOOK: "meshd.sdk.hooks:Hook",
}
TYPES = tuple(BASES)

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """One connector.

    id: `vendor.service.version`. factory: its class, as "module:attribute". settings: the pydantic model of its own
    keys, in the same form; without one, any key is accepted. requires: names that must be importable; extra: the extra
    of the package that installs them. section: where a part of the daemon is configured, which is always in use and
    never named; it has no factory. row: for a provider that the OpenAI connector serves, its facts
    (`meshd/catalogue/known.py`: `ProviderRow`). package: the distribution that provides it; the registry fills it in.
    """

    id: str
    type: str
    description: str = ""
    factory: str = ""
    aliases: tuple[str, ...] = ()
    settings: str | None = None
    requires: tuple[str, ...] = ()
    extra: str | None = None
    section: str = ""
    row: Mapping[str, Any] = field(default_factory=dict, hash=False)
    package: str = DISTRIBUTION

    @property
    def why_not_named(self) -> str:
        """Why a configuration may not name it, "" if it may."""
        return f"{self.id} is always in use; `{self.section}` configures it" if self.section else ""

    @property
    def is_outside(self) -> bool:
        """Whether another package provides it."""
        return self.package != DISTRIBUTION

    @property
    def key_env(self) -> tuple[str, ...]:
        """Variables that may hold a provider's key, in order; empty if it needs none."""
        return tuple(self.row.get("key_env", ()))

    @property
    def short_name(self) -> str:
        """The name of an unnamed entry of `providers`: "openai", "ollama", "local-llm"."""
        name = str(self.row.get("name", ""))
        if _SLUG.fullmatch(name):
            return name
        parts = self.id.split(".")
        return parts[1] if parts[0] == "modelmesh" and len(parts) > 2 else parts[0]

    @property
    def install_hint(self) -> str:
        if self.extra and not self.is_outside:
            return installing.how_to_install(self.extra)
        return installing.command_for(*([f"{self.package}[{self.extra}]"] if self.extra else self.requires))

    def load_settings(self) -> Any:
        """The pydantic model (class) of the connector's own keys; None: unknown."""
        return load(self.settings) if self.settings else None


def load(path: str) -> Any:
    """The object that "module:attribute" names."""
    module, _, attribute = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
