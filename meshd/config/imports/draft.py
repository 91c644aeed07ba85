"""The configuration that an import makes.

Owns: names that are valid and used once; how keys, addresses and variables are written; the remarks.
Must never: put a key's value into the configuration or a remark.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from meshd.catalogue.known import read_data
from meshd.catalogue.placeholder_keys import is_placeholder
from meshd.config.check.references import strings
from meshd.config.imports.given import Given, Source
from meshd.connectors.registry import default_registry
from meshd.core.text.key_path import Path, dotted
from meshd.sdk.connector import ConnectorSpec

_ODD = re.compile(r"[^A-Za-z0-9.\-_/:]+")
_REFERENCE = re.compile(r"^\$\{[^}]*\}")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9]+")
COMPATIBLE = "openai-compatible"


class Remark(msgspec.Struct, frozen=True):
    """What could not be imported, or has to be done. path: the key in the other gateway's file."""

    path: str
    line: int | None
    message: str


class Draft:
    """A configuration in the making. variable: the pattern of the gateway's references to environment variables, with
    the name as its group."""

    def __init__(self, gateway: str, source: Source, variable: str | None) -> None:
        data = read_data("gateways.toml")[gateway]
        self._names: dict[str, str] = data.get("providers", {})
        self._reasons: dict[str, str] = data.get("reasons", {})
        self._source = source
        self._variable = re.compile(variable) if variable else None
        # The name of a secret → the key that it stands for, "" for the file's own variables, whose names are taken.
        self._secrets = {name: "" for _, text in strings(source.raw) if (name := self.variable_in(text))}
        self.providers: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.pools: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.daemon: dict[str, Any] = {}
        self.remarks: list[Remark] = []

    def config(self) -> dict[str, Any]:
        """The finished configuration, without empty sections."""
        sections = ("providers", "models", "pools", "aliases", "daemon")
        return {name: getattr(self, name) for name in sections if getattr(self, name)}

    def remark(self, path: Path, message: str) -> None:
        self.remarks.append(Remark(dotted(path), self._source.line_of(path), message))

    def refuse(self, given: Given, at: Path, why: str) -> None:
        """Import nothing of an entry."""
        self._source.taken.add(given.path)
        self.remark(at, f"is not imported: {why}")

    def remark_on_the_rest(self) -> None:
        """Add a remark for every key that was not taken."""
        for path in self._source.left():
            self.remark(path, f"is not imported: {self._reason(path)}")
        self.remarks.sort(key=lambda remark: remark.line or 0)

    def _reason(self, path: Path) -> str:
        words = [part for part in path if isinstance(part, str) and part != "targets"]
        for named in (words, [*words[:1], *words[2:]]):  # the second: without an entry's name
            for end in range(len(named), 0, -1):
                if found := self._reasons.get(".".join(named[:end])):
                    return found
        return "the mesh has no equivalent"

    # -- names ----------------------------------------------------------------------------------------

    def free(self, wanted: str, used: dict[str, Any]) -> str:
        """A valid name that is not used yet."""
        name = valid(wanted)
        number, free = 2, name
        while free in used:
            free, number = f"{name}-{number}", number + 1
        return free

    def spec(self, provider: str) -> ConnectorSpec | None:
        """The connector for the gateway's name of a provider."""
        plain = provider.lower()
        found = self._names.get(plain, plain)
        return default_registry().find(found, "provider") or default_registry().find(
            found.replace("_", "-"), "provider"
        )

    # -- values ---------------------------------------------------------------------------------------

    def variable_in(self, value: str) -> str | None:
        """The environment variable that a value stands for."""
        found = self._variable.fullmatch(value.strip()) if self._variable else None
        return found[1] if found else None

    def value(self, value: str) -> str:
        """A value other than a key, with the gateway's references as ours."""
        if self._variable is None:
            return value
        return self._variable.sub(lambda found: f"${{env:{found[1]}}}", value)

    def key(self, value: str, at: Path, owner: str) -> str:
        """A reference to a secret. A key that is written in the file is not copied."""
        name = self.variable_in(value)
        if name is None:
            name = f"{_NOT_A_NAME.sub('_', owner).strip('_').upper()}_API_KEY"
            number, wanted = 2, name
            while self._secrets.setdefault(wanted, value) != value:
                wanted, number = f"{name}_{number}", number + 1
            name = wanted
            self.remark(at, f"the key is not copied: store it by `meshctl secrets set {name}`, or in the environment")
        return f"${{secrets:{name}}}"

    def credentials(self, value: str | None, at: Path, owner: str, spec: ConnectorSpec) -> dict[str, Any]:
        """The settings of a provider's section for its key. Many local servers need none, and have a placeholder."""
        own = spec.short_name == COMPATIBLE or bool(spec.row.get("local"))
        if value is None or (own and is_placeholder(value)):
            return {"auth": {"method": "none"}} if own else {}
        return {"api_key": self.key(value, at, owner)}

    # -- entries --------------------------------------------------------------------------------------

    def provider(self, wanted: str, settings: dict[str, Any]) -> str:
        """The name of the provider with exactly these settings: one that exists, else a new one."""
        for name, known in self.providers.items():
            if known == settings and (name == wanted or name.startswith(f"{wanted}-")):
                return name
        name = self.free(wanted, self.providers)
        self.providers[name] = settings
        return name

    def model(self, wanted: str, settings: dict[str, Any]) -> str:
        name = self.free(wanted, self.models)
        self.models[name] = settings
        return name

    def alias(self, name: str, target: str, at: Path) -> None:
        """Another name, if it can be one."""
        new = self.named(name, at)
        if new != target and new not in self.pools and new not in self.models:
            self.aliases[new] = target

    def named(self, name: str, at: Path) -> str:
        """The name in a form that is valid here."""
        if valid(name) != name:
            self.remark(at, f"{name!r} is not a valid name here: it is now {valid(name)}")
        return valid(name)

    def pool(self, name: str, at: Path) -> dict[str, Any]:
        """The pool with this name, created if there is none."""
        if valid(name) not in self.pools:
            self.pools[self.named(name, at)] = {}
        return self.pools[valid(name)]


def valid(name: str) -> str:
    return _ODD.sub("-", name).strip("-") or "unnamed"


def address(spec: ConnectorSpec | None, given: str, version: str = "") -> str:
    """A base address as the mesh writes it: with the API's version at its end. version: to add if the connector's own
    address does not name one."""
    own = str(spec.row.get("base_url") or "") if spec is not None else ""
    ending = "/v1" if urlsplit(own).path.rstrip("/") == "/v1" else version
    plain = given.rstrip("/")
    if not ending or urlsplit(_REFERENCE.sub("http://host", plain)).path.strip("/"):
        return plain
    return plain + ending


def seconds(value: float) -> str:
    """A duration as in our files."""
    return f"{value:g}s" if value >= 1 else f"{round(value * 1000)}ms"


def whole(value: float | None) -> int | None:
    return int(value) if value is not None and value >= 1 else None


def without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, {}, [], "")}


def rest_of(given: Given, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of those of these keys that are given; they are marked as taken."""
    return {name: given.any(name) for name in names if given.peek(name) is not None}
