"""The registry of connectors: which ids exist, what they need, and where their code is.

Owns: ids, aliases, lazy loading of a connector's class, missing packages, ids that are taken.
Must never: import a connector, or its dependency, before that connector is needed; or let another package replace an
existing connector.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterable
from functools import cache

from meshd.connectors import packages
from meshd.connectors.packages import Fault
from meshd.core.text.exceptions import one_line
from meshd.sdk.connector import BASES, PROVIDER, TYPES, ConnectorSpec, load
from modelmesh.errors import ConfigurationError
from modelmesh.wording import likeliest, meant


class ConnectorRegistry:
    """Connectors by id. One for the process is enough: `default_registry()`."""

    def __init__(self, *, builtin: bool = True, outside: bool = True) -> None:
        self._specs: dict[str, ConnectorSpec] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._classes: dict[str, type] = {}
        self._faults: list[Fault] = []
        self._reads_packages = outside
        self._installed: object = None  # the state of the installation when other packages were read
        self._lock = threading.RLock()
        for spec in packages.own() if builtin else ():
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
            # A vendor's first connector keeps the short name, because the catalogue is in order of preference.
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
        with self._lock:
            found = self._lookup(plain, wanted)
            if found is None and self._read_packages():
                found = self._lookup(plain, wanted)
        return found

    def get_connector(self, id: str, type: str | None = None) -> type:
        """The connector's class. Raises ConfigurationError if the connector is unknown, lacks a package, is a part of
        the daemon, or is another package's and cannot be used."""
        spec = self.find(id, type)
        if spec is None:
            raise ConfigurationError(self.why_unknown(id, type))
        if spec.why_not_named:
            raise ConfigurationError(spec.why_not_named)
        key = _key(spec.type, spec.id)
        if key not in self._classes:
            missing = self.missing_packages(spec)
            if missing:
                raise ConfigurationError(
                    f"connector {spec.id} needs the package {', '.join(missing)}: {spec.install_hint}",
                    packages=missing,
                    extra_name=spec.extra,
                )
            self._classes[key] = _load_outside(spec) if spec.is_outside else load(spec.factory)
        return self._classes[key]

    def why_unusable(self, spec: ConnectorSpec) -> str:
        """Why another package's connector would fail once it is used, "" if it would not. Imports it."""
        if not spec.is_outside or self.missing_packages(spec):
            return ""
        try:
            self.get_connector(spec.id, spec.type)
        except ConfigurationError as error:
            return error.message
        return ""

    def list_connectors(self, type: str | None = None, *, outside: bool = True) -> list[ConnectorSpec]:
        """All connectors, or those of one type. outside: also those of other packages."""
        with self._lock:
            if outside:
                self._read_packages()
            specs = [spec for spec in self._specs.values() if type in (None, spec.type)]
        return sorted(
            (spec for spec in specs if outside or not spec.is_outside),
            key=lambda spec: (TYPES.index(spec.type), spec.id),
        )

    def outside_in_use(self) -> list[ConnectorSpec]:
        """The connectors of other packages, if they have been read: that is, if an id was unknown without them."""
        with self._lock:
            return [spec for spec in self._specs.values() if spec.is_outside]

    def faults(self) -> list[Fault]:
        """Connectors of other packages that are left out."""
        with self._lock:
            self._read_packages()
            return list(self._faults)

    def catalogue_order(self) -> list[str]:
        """Provider ids in order of registration: the catalogue's, in order of preference."""
        return [spec.id for spec in self._specs.values() if spec.type == PROVIDER]

    def nearest(self, id: str, type: str | None = None) -> str | None:
        """The id or alias that was most likely meant."""
        kind, plain = _split_type(id)
        known = [name for name_type, name in self._names if (kind or type) in (None, name_type)]
        return likeliest(plain, known)

    def why_retired(self, id: str, type: str | None = None) -> str:
        """The message that its service has ended, "" if that is not known."""
        from meshd.catalogue.known import retired_connectors

        kind, plain = _split_type(id)
        wanted = (kind or type,) if kind or type else TYPES
        found = (retired_connectors().get((each, plain.lower())) for each in wanted if each)
        return next((f"the service of the connector {id} has ended: {why}" for why in found if why), "")

    def why_unknown(self, id: str, type: str | None = None) -> str:
        """The message about an id that `find` does not know, with the nearest known one if that helps."""
        if ended := self.why_retired(id, type):
            return ended
        what = f"{type} connector" if type else "connector"
        return f"unknown {what} {id!r}" + meant(self.nearest(id, type)) + self.left_out(id)

    def left_out(self, id: str) -> str:
        """The end of a sentence about an unknown id: packages whose connectors were left out, since one of them may
        have it."""
        plain, faults = _split_type(id)[1], self.faults()
        shown = [fault for fault in faults if fault.id == plain] or [fault for fault in faults if not fault.id]
        return "".join(f" ({fault})" for fault in shown[:3])

    def missing_packages(self, spec: ConnectorSpec) -> tuple[str, ...]:
        """The packages that it needs but that are not installed. Imports none of them."""
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

    def _read_packages(self) -> bool:
        """Read the connectors of other packages again if the installed packages have changed. Returns whether they had.

        Called only when an id is unknown or all are listed, because it imports modules of those packages.
        """
        if not self._reads_packages:
            return False
        now = packages.installed()
        if now == self._installed:
            return False
        self._installed = now
        importlib.invalidate_caches()
        before = {key: spec for key, spec in self._specs.items() if spec.is_outside}
        self._specs = {key: spec for key, spec in self._specs.items() if key not in before}
        self._names = {name: id for name, id in self._names.items() if _key(name[0], id) not in before}
        self._faults = []
        for found in packages.others():
            fault = found if isinstance(found, Fault) else self._conflict(found)
            if fault is not None:
                self._faults.append(fault)
            elif isinstance(found, ConnectorSpec):
                self.register(found)
        for key, spec in before.items():
            if self._specs.get(key) != spec:
                self._classes.pop(key, None)
        return True

    def _conflict(self, spec: ConnectorSpec) -> Fault | None:
        """Why another package may not add this connector, if it would replace one."""
        for name in (spec.id, *spec.aliases):
            there = self._lookup(name, (spec.type,))
            if there is None:
                continue
            whose = f"the package {there.package}" if there.is_outside else "meshd itself"
            message = f"the package {spec.package} offers the {spec.type} {spec.id}, but {whose} already has {name}"
            return Fault(spec.package, message, f"uninstall {spec.package} or have it renamed", spec.id, spec.type)
        return None


@cache
def default_registry() -> ConnectorRegistry:
    """The process's registry. Connectors are registered in it before the configuration is read."""
    return ConnectorRegistry()


def _key(type: str, id: str) -> str:
    return f"{type}/{id}"


def _split_type(id: str) -> tuple[str | None, str]:
    """A type prefix and the rest: "storage.redis.redis.v1" → ("storage", "redis.redis.v1")."""
    kind, dot, rest = id.partition(".")
    # Two dots must remain, since an id has three parts: so a vendor called "storage" keeps its name.
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


def _load_outside(spec: ConnectorSpec) -> type:
    whose = f"the {spec.type} {spec.id} of the package {spec.package}"
    try:
        cls = load(spec.factory)
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        raise ConfigurationError(
            f"{whose} cannot be loaded: {one_line(error)}; update or uninstall {spec.package}"
        ) from error
    base = load(BASES[spec.type])
    if not isinstance(cls, type) or not issubclass(cls, base):
        wanted = BASES[spec.type].replace(":", ".")
        raise ConfigurationError(f"{whose} cannot be used: {spec.factory} is not a subclass of {wanted}")
    lacking = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
    if lacking:
        raise ConfigurationError(f"{whose} cannot be used: {spec.factory} does not define {lacking}")
    return cls
