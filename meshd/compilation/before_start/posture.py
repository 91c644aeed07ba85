"""Finds what other users of the machine could change under a daemon: its configuration, keys, packages, weights, state,
the place of its socket.

Must never: change anything, or show a secret's value.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from meshd.compilation.secret_sources import secret_sources
from meshd.config import MeshConfig, Problem
from meshd.config.source import gives_itself_once
from meshd.connectors.registry import ConnectorRegistry
from meshd.connectors.secrets.stores import SecretStores
from meshd.core.text.key_path import Path as KeyPath
from meshd.host.trust.paths import untrusted
from meshd.pull.store import is_file, list_models, models_dir

_OF_STORES = (
    "command",
    "set_command",
    "passphrase_file",
    "key_file",
    "token_file",
    "secret_id_file",
    "credentials_file",
)
"""Keys of secret stores that name a program or a file."""


def untrusted_config(config: MeshConfig) -> list[Problem]:
    """The files of the configuration that others can change."""
    files = [config.file] if config.file is not None else []
    if config.sources is not None:
        files = list(map(str, config.sources.current()))
    faults = [(file, untrusted(file)) for file in files if not gives_itself_once(Path(file))]
    return [Problem("", None, f"others can change it: {fault}", None, file) for file, fault in faults if fault]


def untrusted_files(config: MeshConfig, data_dir: str | Path | None) -> Iterator[Problem]:
    """Everything that the configuration leads to and that others can change, each once."""
    told: set[str] = set()
    for at, what, path in _files_of(config, data_dir):
        fault = untrusted(path)
        if fault is not None and fault.path not in told:
            told.add(fault.path)
            yield config.problem_at(at, f"others can change {what}: {fault}")


def untrusted_socket(path: Path) -> Problem | None:
    """The place of the mesh socket, if another user could put a socket of their own there."""
    fault = untrusted(path.parent)
    if fault is None:
        return None
    return Problem("", None, f"others can put another socket in the place of {path}: {fault}", None, "socket")


def untrusted_packages(registry: ConnectorRegistry | None = None) -> Iterator[Problem]:
    """Places that Python imports from. registry: the packages whose connectors it has read instead."""
    told: set[str] = set()
    places = [path for path in sys.path if path]
    if registry is not None:
        outside = [spec.factory.partition(":")[0] for spec in registry.outside_in_use()]
        places = [place for module in outside for place in _places_of(module.partition(".")[0])]
    for path in dict.fromkeys(places):
        fault = untrusted(path)
        if fault is not None and fault.path not in told:
            told.add(fault.path)
            why = f"others can change what is imported from {path}: {fault}"
            if path == sys.path[0] and registry is None:  # python -m puts the current directory there
                why += ", or start the command `meshd` instead of `python -m meshd`"
            yield Problem("", None, why, None, "packages")


def _files_of(config: MeshConfig, data_dir: str | Path | None) -> Iterator[tuple[KeyPath, str, Path]]:
    yield from _files_of_stores(config)
    stores = SecretStores(secret_sources(config))
    try:
        for name, wanted in config.secret_paths().items():
            for path in stores.files(name):
                yield wanted[0], "its key", path
    finally:
        stores.close()
    if key := config.daemon.curve.secret_key_file:
        yield ("daemon", "curve", "secret_key_file"), "its key", Path(os.path.expanduser(key))
    for name, provider in config.providers.items():
        model = str(provider.settings.get("model") or "")
        if key := provider.auth.credentials_file:
            yield ("providers", name, "auth", "credentials_file"), "its key", Path(os.path.expanduser(key))
        if provider.connector == "modelmesh.local-llm.v1" and is_file(model):
            yield ("providers", name, "model"), "its weights", Path(os.path.expanduser(model))
    yield (), "the weights of models", models_dir(data_dir)
    for pulled in list_models(data_dir):
        yield (), f"the weights of {pulled.name}", pulled.path
    observed = config.observability
    sinks = [
        (("observability", section), {**given.settings, **entry.settings})
        for section, given in (
            ("routing", observed.routing),
            ("logging", observed.logging),
            ("statistics", observed.statistics),
        )
        for entry in given.connector
    ]
    for at, settings in (*sinks, (("storage",), config.storage.settings)):
        if isinstance(settings.get("path"), str):
            yield at, "what is written there", Path(os.path.expanduser(settings["path"]))


def _files_of_stores(config: MeshConfig) -> Iterator[tuple[KeyPath, str, Path]]:
    """Programs and keys with which secrets are read."""
    sources = secret_sources(config)
    for _, settings in sources.stores:
        for key in _OF_STORES:
            given = settings.get(key)
            name = given[0] if isinstance(given, list | tuple) and given else given
            if isinstance(name, str) and "/" in name:
                yield ("secrets", key), f"`secrets.{key}`", Path(sources.folder, os.path.expanduser(name))


def _places_of(module: str) -> list[str]:
    try:
        found = find_spec(module)
    except (ImportError, ValueError):
        return []
    if found is None:
        return []
    return [*(found.submodule_search_locations or ()), *([found.origin] if found.has_location and found.origin else ())]
