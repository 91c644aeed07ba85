"""The catalogue of connectors: which ids exist, what they need, and where their code is.

Owns: ids, aliases, lazy loading of a connector's class and settings schema, missing packages.
Must never: import a connector, or its dependency, before that connector is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from meshd.connectors.builtin import BUILTIN, PLANNED
from modelmesh.errors import ConfigurationError
from modelmesh.wording import nearest

PROVIDER = "provider"
ROTATION = "rotation"
SECRET_STORE = "secret-store"
STORAGE = "storage"
OBSERVABILITY = "observability"
DISCOVERY = "discovery"
TYPES = (PROVIDER, ROTATION, SECRET_STORE, STORAGE, OBSERVABILITY, DISCOVERY)

ENTRY_POINTS = "meshd.connectors"
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")
OPENAI_PROVIDER = "meshd.connectors.providers.openai:OpenAIProvider"


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """What is known about a connector without importing it.

    factory, settings: "module:attribute". requires: names that must be importable; extra: what installs
    them. row: for providers that are only data, their row of the catalogue.
    """

    id: str
    type: str
    description: str = ""
    factory: str = ""
    aliases: tuple[str, ...] = ()
    settings: str | None = None
    requires: tuple[str, ...] = ()
    extra: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict, hash=False)

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
        if self.extra:
            return f'pip install "modelmesh[{self.extra}]"'
        return f"pip install {' '.join(self.requires)}"

    def load_settings(self) -> Any:
        """The pydantic model (class) of the connector's own keys; None: unknown."""
        return _load(self.settings) if self.settings else None


class ConnectorRegistry:
    """Connectors by id. One for the process is enough: `default_registry()`."""

    def __init__(self, *, builtin: bool = True, entry_points: bool = True) -> None:
        self._specs: dict[str, ConnectorSpec] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._classes: dict[str, type] = {}
        self._entry_points_read = not entry_points
        if builtin:
            for row in BUILTIN:
                self.register(ConnectorSpec(**row))
            for spec in _provider_rows():
                self.register(spec)

    # -- filling --------------------------------------------------------------------------------------

    def register(
        self,
        spec_or_id: ConnectorSpec | str,
        cls: type | None = None,
        *,
        type: str | None = None,
        description: str = "",
        aliases: Iterable[str] = (),
        settings: str | None = None,
    ) -> ConnectorSpec:
        """Add a connector, by its spec or by an id and a class. The same id again replaces the first."""
        if isinstance(spec_or_id, ConnectorSpec):
            spec = spec_or_id
        else:
            kind, plain = _split_type(spec_or_id)
            found = str(type or kind or getattr(cls, "connector_type", PROVIDER))
            text = description or ((getattr(cls, "__doc__", None) or "").strip().splitlines() or [""])[0]
            spec = ConnectorSpec(plain, found, text, aliases=tuple(aliases), settings=settings)
        if spec.type not in TYPES:
            raise ConfigurationError(f"connector {spec.id}: unknown type {spec.type!r}; one of {', '.join(TYPES)}")
        self._specs[_key(spec.type, spec.id)] = spec
        for name in (spec.id, *spec.aliases):
            self._names[spec.type, name.lower()] = spec.id
        if spec.type == PROVIDER:
            # The first of a vendor keeps the short name: the catalogue is in order of preference.
            self._names.setdefault((spec.type, spec.short_name), spec.id)
        if cls is not None:
            self._classes[_key(spec.type, spec.id)] = cls
        return spec

    # -- asking ---------------------------------------------------------------------------------------

    def find(self, id: str, type: str | None = None) -> ConnectorSpec | None:
        """The connector for an id, an alias, a type-prefixed id or a short name."""
        kind, plain = _split_type(id)
        if kind and type and kind != type:
            return None
        wanted = (kind or type,) if kind or type else TYPES
        found = self._lookup(plain, wanted)
        if found is None and self._read_entry_points():
            found = self._lookup(plain, wanted)
        return found

    def get_connector(self, id: str, type: str | None = None) -> type:
        """The connector's class. Raises ConfigurationError if it is unknown, not built or lacks a package."""
        spec = self.find(id, type)
        if spec is None:
            raise ConfigurationError(self.why_unknown(id, type))
        key = _key(spec.type, spec.id)
        if key not in self._classes:
            missing = self.missing_packages(spec)
            if missing:
                raise ConfigurationError(
                    f"connector {spec.id} needs the package {', '.join(missing)}: {spec.install_hint}",
                    packages=missing,
                    extra_name=spec.extra,
                )
            self._classes[key] = _load(spec.factory)
        return self._classes[key]

    def list_connectors(self, type: str | None = None) -> list[ConnectorSpec]:
        self._read_entry_points()
        specs = (spec for spec in self._specs.values() if type in (None, spec.type))
        return sorted(specs, key=lambda spec: (TYPES.index(spec.type), spec.id))

    def catalogue_order(self) -> list[str]:
        """Provider ids in order of registration: the catalogue's, in order of preference."""
        return [spec.id for spec in self._specs.values() if spec.type == PROVIDER]

    def nearest(self, id: str, type: str | None = None) -> str | None:
        """The id (or alias) that was most likely meant."""
        kind, plain = _split_type(id)
        known = [name for name_type, name in self._names if (kind or type) in (None, name_type)]
        return next(iter(nearest(plain, known)), None)

    def is_planned(self, id: str, type: str | None = None) -> bool:
        """Whether it is planned, but not part of this version."""
        kind, plain = _split_type(id)
        kinds = (kind or type,) if kind or type else TYPES
        return any(name in _spellings(plain, each) for each in kinds if each for name in PLANNED.get(each, ()))

    def why_unknown(self, id: str, type: str | None = None) -> str:
        if self.is_planned(id, type):
            return f"connector {id} is not supported yet"
        near = self.nearest(id, type)
        what = f"{type} connector" if type else "connector"
        return f"unknown {what} {id!r}" + (f'; did you mean "{near}"?' if near else "")

    def missing_packages(self, spec: ConnectorSpec) -> tuple[str, ...]:
        """The packages it needs that are not installed; does not import any."""
        return tuple(name for name in spec.requires if not _installed(name))

    def _lookup(self, name: str, types: Iterable[str | None]) -> ConnectorSpec | None:
        for kind in types:
            if kind is None:
                continue
            for candidate in _spellings(name, kind):
                id = self._names.get((kind, candidate))
                if id is not None:
                    return self._specs[_key(kind, id)]
        return None

    def _read_entry_points(self) -> bool:
        """Add connectors of installed packages, once; whether any was added now.

        Done only when an id is unknown or all are listed: reading every package's metadata is slow.
        """
        if self._entry_points_read:
            return False
        self._entry_points_read = True
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINTS):
            kind, plain = _split_type(point.name)
            if self._lookup(plain, (kind or PROVIDER,)) is None:
                self.register(
                    ConnectorSpec(
                        plain,
                        kind or PROVIDER,
                        f"from the package {point.dist.name if point.dist else point.module}",
                        factory=point.value.replace(" ", ""),
                    )
                )
        return True


@cache
def default_registry() -> ConnectorRegistry:
    """The process's registry. Connectors are registered in it before the configuration is read."""
    return ConnectorRegistry()


def _key(type: str, id: str) -> str:
    return f"{type}/{id}"


def _split_type(id: str) -> tuple[str | None, str]:
    """A type prefix and the rest: "storage.redis.redis.v1" → ("storage", "redis.redis.v1")."""
    kind, dot, rest = id.partition(".")
    # Two dots must remain: an id has three parts, so that a vendor called "storage" keeps its name.
    return (kind, rest) if dot and kind in TYPES and rest.count(".") >= 2 else (None, id)


def _spellings(name: str, type: str) -> tuple[str, ...]:
    """The forms under which a name may be registered; the mesh's own connectors have short ones."""
    folded = name.lower()
    if "." in folded:
        return (folded,)
    if type == PROVIDER:
        return (folded,)
    return (folded, f"modelmesh.{folded}.v1")


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _provider_rows() -> list[ConnectorSpec]:
    """The providers that are only data: one row of the catalogue each."""
    try:
        text = resources.files("meshd.catalogue").joinpath("providers.toml").read_text("utf-8")
    except FileNotFoundError:
        return []
    rows: list[dict[str, Any]] = tomllib.loads(text).get("provider", [])
    return [
        ConnectorSpec(
            id=row["id"],
            type=PROVIDER,
            description=row.get("description", ""),
            factory=row.get("factory", OPENAI_PROVIDER),
            aliases=tuple(row.get("aliases", ())),
            settings="meshd.config.schema.settings:OpenAISettings",
            row=row,
        )
        for row in rows
    ]
