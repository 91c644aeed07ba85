"""Reads another gateway's file: `import_file`.

Owns: which gateways are known, and what applies to all of them.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec

from meshd.config.check.problems import Problem, configuration_error
from meshd.config.imports import bifrost, litellm, llama_swap, portkey
from meshd.config.imports.draft import Draft, Remark
from meshd.config.imports.given import Given, Source
from meshd.config.mesh_config import MeshConfig
from meshd.config.read.loading import load_file

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)")
_ROUNDS = 20
"""Rounds of removing what is invalid: something else may name what was removed, and is invalid then."""


class Gateway(NamedTuple):
    """title: what its project is called. read: fills a draft. variable: its references to environment variables."""

    title: str
    read: Any
    variable: str | None


GATEWAYS = {
    "litellm": Gateway("LiteLLM", litellm.read, litellm.VARIABLE),
    "bifrost": Gateway("Bifrost", bifrost.read, bifrost.VARIABLE),
    "llama-swap": Gateway("llama-swap", llama_swap.read, llama_swap.VARIABLE),
    "portkey": Gateway("Portkey", portkey.read, portkey.VARIABLE),
}


class Imported(msgspec.Struct, frozen=True):
    """config: as in a mesh.yaml; it is valid. remarks: in the order of the other file."""

    config: dict[str, Any]
    remarks: tuple[Remark, ...]


def import_file(gateway: str, path: str) -> Imported:
    """Raises ConfigurationError if the file cannot be read, or has nothing that can be imported."""
    known = GATEWAYS[gateway]
    loaded = load_file(path)
    if loaded.fatal:
        raise configuration_error(loaded.problems)
    source = Source(loaded.raw, loaded.lines)
    draft = Draft(gateway, source, known.variable)
    given: Given = source.root()
    known.read(given, draft)
    draft.remark_on_the_rest()
    if not draft.providers:
        message = f"nothing in it can be imported: is it a configuration of {known.title}?"
        raise configuration_error([Problem("", None, message, None, path)])
    config, problems = _valid(draft.config())
    remarks = [*draft.remarks, *(Remark(problem.path, None, problem.message) for problem in problems)]
    return Imported(config, tuple(remarks))


def _valid(config: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The configuration without what ours does not accept, and the problems with that."""
    told: dict[Problem, None] = {}
    # Variables need not be set here; each stands for itself.
    environ = {name: f"${{env:{name}}}" for name in _VARIABLE.findall(json.dumps(config, default=str))}
    for _ in range(_ROUNDS):
        found = MeshConfig.from_dict(config, environ=environ).validate()
        if not found:
            return config, list(told)
        told |= dict.fromkeys(found)
        for path in sorted({problem.path for problem in found}, reverse=True):
            _remove(config, path)
    raise configuration_error(found)


def _remove(value: Any, path: str) -> bool:
    """Remove what is at a dotted path, or at the longest part of it that exists. Names may have dots in them."""
    if isinstance(value, list):
        index, _, rest = path.removeprefix("[").partition("]")
        if not path.startswith("[") or not index.isdigit() or int(index) >= len(value):
            return False
        if not rest or not _remove(value[int(index)], rest.removeprefix(".")):
            del value[int(index)]
        return True
    for key in sorted(value, key=len, reverse=True) if isinstance(value, dict) else ():
        if path == key or path.startswith((f"{key}.", f"{key}[")):
            rest = path[len(key) :].removeprefix(".")
            if not rest or not _remove(value[key], rest):
                del value[key]
            return True
    return False
