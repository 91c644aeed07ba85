"""Checks every rule of the configuration beyond types, and reports all problems at once.

Owns: the order of the checks, and those across sections (references by name, connectors, capabilities).
Must never: stop at the first problem, or read anything but the configuration, the registry, the packages of connectors
that the configuration names, and the machine's groups.
"""

from __future__ import annotations

import grp
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from meshd.config.check.aliases import check_aliases
from meshd.config.check.connectors import ConnectorChecks
from meshd.config.check.error_messages import ONE_OF, sentence, shown
from meshd.config.check.pool_checks import RuleChecks
from meshd.config.check.problems import Places, Problem, problem_in
from meshd.config.check.sections.apps import AppChecks
from meshd.config.check.sections.listening import check_listening
from meshd.config.check.sections.managed import check_managed
from meshd.config.check.sections.packages import use_packages
from meshd.config.check.sections.proxy import check_proxy
from meshd.config.check.values import as_map, report_unknown
from meshd.config.schema import LOCAL_SERVERS, RootConfig
from meshd.config.schema_walk import find_faults, prune
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.text.key_path import Path
from meshd.core.text.redaction import is_secret_path
from meshd.routing.table.capabilities import CapabilityTree
from modelmesh.wording import likeliest

NAME = re.compile(r"[A-Za-z0-9.\-_/:]+")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_CHOSEN_NAMES = ("providers", "models", "pools", "apps")
_SELF_LISTING = (
    *("modelmesh.local-llm.v1", "modelmesh.local-embeddings.v1", "modelmesh.local-speech.v1"),
    *("modelmesh.local-transcription.v1", "modelmesh.scripted.v1"),
)
"""Connectors whose models exist even without an entry in `models`."""


class Validation:
    """One pass over one configuration. flat: canonical, with the environment resolved; written: canonical, but not
    resolved.

    Messages quote from `written`, so that a value from the environment is shown as its reference.
    """

    def __init__(
        self,
        flat: dict[str, Any],
        written: dict[str, Any],
        places: Places,
        file: str | None,
        registry: ConnectorRegistry,
    ) -> None:
        self.flat = flat
        self.registry = registry
        self._written = written
        self._places = places
        self._file = file
        self._found: list[Problem] = []
        self._sections = {name: as_map(flat.get(name)) for name in ("providers", "models", "pools")}
        self._providers_with_models = {
            str(as_map(model).get("provider") or infer_provider(id, self._sections["providers"]))
            for id, model in self._sections["models"].items()
            if str(as_map(model).get("enabled", True)).lower() != "false"
        }

    def run(self) -> list[Problem]:
        self.run_alone()
        use_packages(self.flat, self._places, self._file, self._found, self.report)
        ConnectorChecks(self.flat, self.registry, self.report, self.quote).run()
        tree = self._capability_tree()
        self._check_models(tree)
        for name, entry in self._sections["providers"].items():
            spec = self.registry.find(str(as_map(entry).get("connector") or name), "provider")
            check_managed(name, as_map(entry), spec.row if spec else {}, self._providers_with_models, self.report)
        self._check_pools(tree)
        check_aliases(self.flat, tree, self._known_model, self.report)
        RuleChecks(self.flat, self.report).run()
        AppChecks(self.flat, self.report, self._known_model, tree).run()
        self._check_named_providers()
        check_proxy(self.flat, self.report)
        check_listening(self.flat, self.report)
        self._check_socket()
        return self._found

    def run_alone(self) -> list[Problem]:
        """Only what can be checked in a part of a configuration: its keys, types and names."""
        find_faults(RootConfig, self.flat, (), self.report)
        self._check_types()
        self._check_names()
        return self._found

    def report(self, path: Path, message: str, suggestion: str | None = None) -> None:
        self._found.append(problem_in(self._places, path, message, suggestion, self._file))

    def quote(self, path: Path) -> str:
        """ ", got …": what is written there, unless it is secret."""
        there, value = _at(self._written, path)
        if not there:
            return ""
        return ", got a value that is not shown" if is_secret_path(path) else f", got {shown(value)}"

    # -- types ----------------------------------------------------------------------------------------

    def _check_types(self) -> None:
        try:
            RootConfig.model_validate(prune(RootConfig, self.flat))
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                self._report_type(fault)

    def _report_type(self, fault: Any) -> None:
        kind = fault["type"]
        if kind == "extra_forbidden":
            return  # find_faults reports it better
        path = self._without_branch(tuple(fault["loc"]))
        if path is None:
            return
        if path[-1:] == ("[key]",):  # pydantic's mark for a map's key rather than its value
            path = path[:-1]
        message = sentence(kind, fault.get("ctx", {}), fault["msg"], self.quote(path))
        suggestion = None
        value = _at(self._written, path)[1]
        if kind in ONE_OF and isinstance(value, str):
            suggestion = likeliest(value, re.findall(r"'([^']*)'", str(fault.get("ctx", {}).get("expected", ""))))
        self.report(path, message, suggestion)

    def _without_branch(self, path: Path) -> Path | None:
        """The path in the file. A key of `api_keys` is a text or a map, and pydantic reports errors for both: None for
        an error of the form that was not used."""
        if len(path) < 5 or path[0] != "providers" or path[2] != "api_keys":
            return path
        written = _at(self._written, path[:4])[1]
        branch, is_map = str(path[4]), isinstance(written, dict)
        return (*path[:4], *path[5:]) if (branch == "WeightedKey") is is_map else None

    # -- names ----------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        for section in _CHOSEN_NAMES:
            for name in as_map(self.flat.get(section)):
                if not NAME.fullmatch(name):
                    self.report((section, name), "a name may contain only letters, digits and . - _ / :")

    def _known_provider(self, name: str) -> bool:
        return name in self._sections["providers"] or name in LOCAL_SERVERS

    def _known_model(self, name: str) -> bool:
        """Listed, or of a provider whose models are discovered."""
        if name in self._sections["models"]:
            return True
        return any(
            name.startswith((f"{provider}.", f"{provider}/", f"{provider}:"))
            for provider in (*self._sections["providers"], *LOCAL_SERVERS)
            if self._discovers(provider)
        )

    def _discovers(self, provider: str) -> bool:
        entry = self._sections["providers"].get(provider)
        if entry is None:
            return provider in LOCAL_SERVERS
        spec = self.registry.find(str(as_map(entry).get("connector") or provider), "provider")
        sync = as_map(as_map(self.flat.get("discovery")).get("sync"))
        return (
            provider not in self._providers_with_models
            or as_map(as_map(entry).get("catalogue")).get("auto_discover") is True
            or sync.get("auto_register") is True
            or (spec is not None and (spec.id in _SELF_LISTING or spec.row.get("local") is True))
        )

    # -- sections -------------------------------------------------------------------------------------

    def _check_models(self, tree: CapabilityTree) -> None:
        providers = self._sections["providers"]
        for id, entry in self._sections["models"].items():
            model = as_map(entry)
            provider = model.get("provider")
            if isinstance(provider, str) and provider:
                if provider not in providers and provider not in LOCAL_SERVERS:
                    near = likeliest(provider, providers)
                    self.report(("models", id, "provider"), f"there is no provider {provider!r}", near)
            elif not provider and infer_provider(id, self._sections["providers"]) is None:
                self.report(("models", id), "`provider` is missing, and the id does not begin with a provider's name")
            self._check_capabilities(("models", id, "capabilities"), model.get("capabilities"), tree)

    def _check_capabilities(self, path: Path, value: Any, tree: CapabilityTree) -> None:
        if not isinstance(value, list | tuple):
            return
        for index, name in enumerate(value):
            if not isinstance(name, str):
                continue
            node = tree.resolve(name)
            if node is None:
                self._report_capability((*path, index), name, tree)
            elif not tree.is_leaf(node):
                leaves = ", ".join(tree.alias(leaf) for leaf in tree.get_leaves(node)[:4])
                self.report((*path, index), f"{name} is a branch; a model serves leaves, such as {leaves}")

    def _report_capability(self, path: Path, name: str, tree: CapabilityTree) -> None:
        near = tree.nearest(name)
        others = f" (also near: {', '.join(near[1:])})" if near[1:] else ""
        self.report(path, f"unknown capability {name!r}{others}", near[0] if near else None)

    def _check_pools(self, tree: CapabilityTree) -> None:
        providers, models = [*self._sections["providers"], *LOCAL_SERVERS], list(self._sections["models"])
        for name, entry in self._sections["pools"].items():
            pool = as_map(entry)
            at: Path = ("pools", name)
            capability = pool.get("capability")
            if isinstance(capability, str):
                if tree.resolve(capability) is None:
                    self._report_capability((*at, "capability"), capability, tree)
            elif capability is None and not pool.get("models") and tree.resolve(name) is None:
                near = tree.nearest(name, 1)
                self.report(
                    at,
                    "has neither `models` nor `capability`, and its name is not a capability",
                    near[0] if near else None,
                )
            for key in ("models", "excluded_models", "model_priority"):
                report_unknown(self.report, (*at, key), pool.get(key), self._known_model, "model", models)
            for key in ("providers", "excluded_providers", "provider_priority"):
                report_unknown(self.report, (*at, key), pool.get(key), self._known_provider, "provider", providers)
            self._check_members(at, pool, matches=bool(capability) or not pool.get("models"))

    def _check_members(self, at: Path, pool: dict[str, Any], *, matches: bool) -> None:
        """Report a pool without members, as far as the file shows."""
        only, without = _names(pool.get("providers")), _names(pool.get("excluded_providers"))
        excluded = _names(pool.get("excluded_models"))
        if not (only or without or excluded):
            return
        if not all(map(self._known_provider, only + without)) or not all(map(self._known_model, excluded)):
            return  # already reported, and perhaps the reason
        providers, models = self._sections["providers"], self._sections["models"]
        candidates = set(_names(pool.get("models")))
        if matches:
            if any(self._discovers(name) for name in (only or providers) if name not in without):
                return  # its members are only known at run time
            candidates |= {id for id, model in models.items() if as_map(model).get("enabled") is not False}
        left = [
            id
            for id in candidates
            if id not in excluded
            and (provider := as_map(models.get(id)).get("provider") or infer_provider(id, providers)) not in without
            and (not only or provider in only)
        ]
        if candidates and not left:
            keys = [key for key in ("providers", "excluded_providers", "excluded_models") if pool.get(key)]
            self.report(at, f"has no model left: {' and '.join(f'`{key}`' for key in keys)} exclude all of them")

    def _check_socket(self) -> None:
        daemon = as_map(self.flat.get("daemon"))
        socket, group = daemon.get("socket"), daemon.get("socket_group")
        if isinstance(socket, str) and "://" in socket and not socket.startswith("ipc://"):
            self.report(("daemon", "socket"), f"expected the path of a socket{self.quote(('daemon', 'socket'))}")
        if isinstance(group, str) and group:
            try:
                grp.getgrnam(group)
            except KeyError:
                near = likeliest(group, (entry.gr_name for entry in grp.getgrall()))
                self.report(("daemon", "socket_group"), f"there is no group {group!r} on this machine", near)

    def _check_named_providers(self) -> None:
        """The providers that other sections name."""
        names = [*self._sections["providers"], *LOCAL_SERVERS]
        paths = (
            ("discovery", "sync", "providers"),
            ("discovery", "health", "providers"),
            ("observability", "tracing", "propagate"),
        )
        for section, part, key in paths:
            value = as_map(as_map(self.flat.get(section)).get(part)).get(key)
            if value != ["*"]:
                at = (section, part, key)
                report_unknown(self.report, at, value, self._known_provider, "provider", names)

    def _capability_tree(self) -> CapabilityTree:
        tree = CapabilityTree.default()
        for name, below in as_map(self.flat.get("capabilities")).items():
            if (tree.resolve(name) or _SEGMENT.fullmatch(name)) and _are_nodes(below):
                tree.add_all({name: below})
            else:
                message = "expected a map or list of capability names, each one segment without dots"
                self.report(("capabilities", name), message)
        return tree


def infer_provider(model_id: str, providers: Iterable[str]) -> str | None:
    """The provider that a model's id begins with, the longest if several."""
    found = [name for name in providers if model_id.startswith((f"{name}.", f"{name}/", f"{name}:"))]
    if found:
        return max(found, key=len)
    vendor = model_id.partition(".")[0].partition("/")[0]
    same_vendor = [name for name in providers if name.partition(".")[0] == vendor]
    return same_vendor[0] if len(same_vendor) == 1 else None


def _are_nodes(below: Any) -> bool:
    """Whether this is valid under a capability: names, or maps of names to the same."""
    if isinstance(below, dict):
        return all(_SEGMENT.fullmatch(name) and _are_nodes(each) for name, each in below.items())
    if isinstance(below, list | tuple):
        return all(isinstance(name, str) and _SEGMENT.fullmatch(name) for name in below)
    return below is None


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []


def _at(value: Any, path: Path) -> tuple[bool, Any]:
    """Whether there is a value at a path, and which."""
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return False, None
    return True, value
