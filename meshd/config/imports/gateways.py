"""Reads another gateway's file: `import_file`.

Owns: which gateways are known, and what applies to all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from meshd.config.check.problems import Problem, configuration_error
from meshd.config.imports import bifrost, litellm, llama_swap, portkey
from meshd.config.imports.draft import Draft, Remark, heads
from meshd.config.imports.given import Source
from meshd.config.mesh_config import MeshConfig
from meshd.config.read.loading import load_file

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)")
_DEEPEST = 64
"""How deeply a file's maps and lists may be nested. Other gateways' own are far below that."""
_ESSENTIAL = frozenset({("providers", "base_url"), ("providers", "proxy"), ("models", "provider")})
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
    if fault := _fault(loaded.raw):
        raise configuration_error([Problem("", None, fault, None, path)])
    source = Source(loaded.raw, loaded.lines)
    draft = Draft(gateway, source, known.variable)
    known.read(source.root(), draft)
    draft.remark_on_the_rest()
    config, problems = _valid(draft.config())
    for problem in problems:
        draft.remark_on(problem)
    draft.remark_on_secrets(config)
    remarks = sorted(draft.remarks, key=lambda remark: remark.line or 0)
    if not config.get("providers"):
        message = f"nothing in it can be imported: is it a configuration of {known.title}?"
        told = [Problem(each.path, each.line, each.message, None, path) for each in remarks]
        raise configuration_error([Problem("", None, message, None, path), *told])
    return Imported(config, tuple(remarks))


def _fault(raw: dict[str, Any]) -> str | None:
    """Why a file that can be read cannot be imported."""
    if _depth(raw) > _DEEPEST:
        return "is nested too deeply"
    try:
        json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON's escapes can say that
        return "has half of a character in it, like \\ud800"
    return None


def _depth(value: Any) -> int:
    """How deeply maps and lists are nested in a value, up to one more than is accepted."""
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        depth += 1
        level = [item for each in level for item in _items(each)]
    return depth


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _valid(config: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The configuration without what ours does not accept, and the problems with that."""
    told: dict[Problem, None] = {}
    # Variables need not be set here; each stands for itself.
    environ = {name: f"${{env:{name}}}" for name in _VARIABLE.findall(json.dumps(config, default=str))}
    for _ in range(_ROUNDS):
        found = [_of_all(problem) for problem in MeshConfig.from_dict(config, environ=environ).validate()]
        if not found:
            return config, list(told)
        told |= dict.fromkeys(found)
        for path in sorted({problem.path for problem in found}, reverse=True):
            _remove(config, path)
    raise configuration_error(found)


def _of_all(problem: Problem) -> Problem:
    """The problem, as one of the whole entry if it would be another one without the key: a provider without its address
    is the vendor's own, which is not to get the key."""
    entry, _, key = problem.path.rpartition(".")
    if (entry.partition(".")[0], key) not in _ESSENTIAL or entry.count(".") == 0:
        return problem
    return msgspec.structs.replace(problem, path=entry, message=f"`{key}` {problem.message}")


def _remove(value: Any, path: str) -> bool:
    """Remove what is at a dotted path, or at the longest part of it that exists."""
    if isinstance(value, list):
        index, _, rest = path.removeprefix("[").partition("]")
        if not path.startswith("[") or not index.isdigit() or int(index) >= len(value):
            return False
        if not rest or not _remove(value[int(index)], rest.removeprefix(".")):
            del value[int(index)]
        return True
    key = next((head for head in heads(path) if head in value), None) if isinstance(value, dict) else None
    if key is None:
        return False
    rest = path[len(key) :].removeprefix(".")
    if not rest or not _remove(value[key], rest):
        del value[key]
    return True
