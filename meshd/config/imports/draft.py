"""The configuration that an import makes.

Owns: names that are valid and used once; how keys, addresses and variables are written; the remarks.
Must never: put a key's value into the configuration or a remark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator
from typing import Any

import msgspec

from meshd.catalogue.known import read_data
from meshd.catalogue.placeholder_keys import is_placeholder
from meshd.config.check.error_messages import shown
from meshd.config.check.problems import Problem
from meshd.config.check.references import secret_names, strings
from meshd.config.imports.addresses import is_address, is_server
from meshd.config.imports.given import Given, Source
from meshd.config.imports.literal_secrets import without_secrets
from meshd.connectors.registry import default_registry
from meshd.core.text.key_path import Path, dotted
from meshd.sdk.connector import ConnectorSpec
from modelmesh.wording import meant

_ODD = re.compile(r"[^A-Za-z0-9.\-_/:]+")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9]+")
COMPATIBLE = "openai-compatible"
_LONGEST_NAME = 200  # characters


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
        self._texts = list(source.strings())
        self._variables = {name for _, text in self._texts if (name := self.variable_in(text))}
        self._secrets: dict[str, str] = {}  # a secret that the file holds → its name, which is none of its variables
        self._left_out: list[tuple[str, Path, str]] = []  # (name, where it is in the file, what it is) of a secret
        self._known: dict[tuple[str, str], str] = {}  # (wanted name, settings) → the provider's name
        self._numbers: dict[str, int] = {}  # name → the last number that made it another
        self._places: dict[tuple[str, str], Path] = {}  # (section, name) → what in the file became it
        self.providers: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.pools: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.daemon: dict[str, Any] = {}
        self.remarks: list[Remark] = []

    def config(self) -> dict[str, Any]:
        """The finished configuration, without secrets and empty sections."""
        sections = ("providers", "models", "pools", "aliases", "daemon")
        return without_secrets({name: getattr(self, name) for name in sections if getattr(self, name)}, self.secret)

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

    def remark_on(self, problem: Problem) -> None:
        """Add a remark for a part of the configuration that is not valid, at the entry that it was made of."""
        at = self._origin(problem.path)
        message = f"`{problem.path}` is left out: {problem.message}{meant(problem.suggestion)}"
        self.remarks.append(Remark(dotted(at), self._source.line_of(at), message))

    def remark_on_secrets(self, config: dict[str, Any]) -> None:
        """Add a remark for each secret that has to be stored for this configuration."""
        needed = {name for _, text in strings(config) for name in secret_names(text)}
        for name, at, what in self._left_out:
            if name in needed:
                store = f"store it by `meshctl secrets set {name}`, or in the environment"
                self.remark(at, f"{what} is not copied: {store}")

    def _origin(self, path: str) -> Path:
        section, _, rest = path.partition(".")
        return next((self._places[section, name] for name in heads(rest) if (section, name) in self._places), ())

    def _reason(self, path: Path) -> str:
        if path in self._source.expected:
            return f"expected {self._source.expected[path]}"
        words = [part for part in path if isinstance(part, str) and part != "targets"]
        for named in (words, [*words[:1], *words[2:]]):  # the second: without an entry's name
            for end in range(len(named), 0, -1):
                if found := self._reasons.get(".".join(named[:end])):
                    return found
        return "the mesh has no equivalent"

    # -- names ----------------------------------------------------------------------------------------

    def free(self, wanted: str, used: Container[str]) -> str:
        """A valid name that is not used yet."""
        return self._unused(valid(wanted), used, "-")

    def _unused(self, name: str, used: Container[str], separator: str) -> str:
        free = name
        while free in used:
            self._numbers[name] = self._numbers.get(name, 1) + 1
            free = f"{name}{separator}{self._numbers[name]}"
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

    def headers(self, given: Given) -> dict[str, str]:
        return {name: self.value(value) for name in given if (value := given.word(name)) is not None}

    def key(self, value: str, at: Path, owner: str) -> str:
        """A reference to a secret. A key that is written in the file is not copied."""
        name = self.variable_in(value)
        if name is None:
            name = self._name_of_secret(value, f"{owner}_API_KEY")
            self._left_out.append((name, at, "the key"))
        return f"${{secrets:{name}}}"

    def secret(self, value: str, wanted: str, entry: tuple[str, str]) -> str:
        """A reference to a secret that is not a provider's key, in an entry of this section and name."""
        name = self._name_of_secret(value, wanted)
        self._left_out.append((name, self._place_of(value, entry), "the secret in it"))
        return f"${{secrets:{name}}}"

    def _name_of_secret(self, value: str, wanted: str) -> str:
        """The name that a secret has or gets."""
        if value not in self._secrets:
            name = _NOT_A_NAME.sub("_", wanted).strip("_").upper()
            if not name or name[0].isdigit():  # not the name of a variable
                name = f"MESH_{name}".rstrip("_")
            self._secrets[value] = self._unused(name, self._variables, "_")
            self._variables.add(self._secrets[value])
        return self._secrets[value]

    def _place_of(self, value: str, entry: tuple[str, str]) -> Path:
        """Where a value is in the file: in what became this entry, else anywhere, such as in a macro."""
        inside = self._places.get(entry, ())
        within = self._source.strings(inside)
        return next((path for each in (within, self._texts) for path, text in each if value in text), inside)

    def credentials(self, value: str | None, at: Path, owner: str, spec: ConnectorSpec) -> dict[str, Any]:
        """The settings of a provider's section for its key. Many local servers need none, and have a placeholder."""
        own = spec.short_name == COMPATIBLE or bool(spec.row.get("local"))
        if value is None or (own and is_placeholder(value)):
            return {"auth": {"method": "none"}} if own else {}
        return {"api_key": self.key(value, at, owner)}

    # -- entries --------------------------------------------------------------------------------------

    def provider(self, wanted: str, settings: dict[str, Any], given: Given) -> str | None:
        """The name of the provider with exactly these settings: one that exists, else a new one. None, and a remark, if
        its address is not one: without it, requests and the key would go to the vendor's own."""
        if not is_server(settings.get("base_url", "http://host")):
            self.refuse(given, given.path, "its address is not one of a server (http://… or https://…)")
            return None
        if not is_address(settings.get("proxy", "http://host")):
            self.refuse(given, given.path, "the address of its proxy is not one (http://host:port)")
            return None
        known = (wanted, json.dumps(settings, sort_keys=True, default=str))
        if known not in self._known:
            name = self.free(wanted, self.providers)
            self._known[known] = name
            self.providers[name] = settings
            self._places["providers", name] = given.path
        return self._known[known]

    def model(self, wanted: str, settings: dict[str, Any], at: Path) -> str:
        name = self.free(wanted, self.models)
        self.models[name] = settings
        self._places["models", name] = at
        return name

    def limit(self, key: str, value: Any, at: Path) -> None:
        """A setting of the daemon, if there is one."""
        if value is not None:
            self.daemon[key] = value
            self._places["daemon", key] = at

    def alias(self, name: str, target: str, at: Path) -> None:
        """Another name, if it can be one."""
        new = self.named(name, at)
        if new != target and new not in self.pools and new not in self.models:
            self.aliases[new] = target
            self._places["aliases", new] = at

    def named(self, name: str, at: Path) -> str:
        """The name in a form that is valid here."""
        if valid(name) != name:
            self.remark(at, f"{shown(name)} is not a valid name here: it is now {valid(name)}")
        return valid(name)

    def pool(self, name: str, at: Path) -> dict[str, Any]:
        """The pool with this name, created if there is none."""
        if valid(name) not in self.pools:
            self.pools[self.named(name, at)] = {}
            self._places["pools", valid(name)] = at
        return self.pools[valid(name)]


def valid(name: str) -> str:
    return _ODD.sub("-", name).strip("-")[:_LONGEST_NAME] or "unnamed"


def heads(path: str) -> Iterator[str]:
    """The beginnings of a dotted path that may be a name, the longest first. Names may have dots in them."""
    yield path
    for end in range(len(path) - 1, 0, -1):
        if path[end] in ".[":
            yield path[:end]


def without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, {}, [], "")}


def rest_of(given: Given, names: Iterable[str]) -> dict[str, Any]:
    """The values of those of these keys that are given; they are marked as taken."""
    return {name: value for name in names if (value := given.any(name)) is not None}
