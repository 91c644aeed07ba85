"""What `modelmesh.create(config=…)` starts: a mesh inside the program's process.

Owns: how the arguments of that call change its configuration. It is registered as an entry point of the group
`modelmesh.embedded`, so that the client need not know this package.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from meshd import MeshConfig, ModelMesh

_IN_MEMORY = {"connector": "modelmesh.memory.v1"}


def start(
    config: MeshConfig | Mapping[str, Any] | str | os.PathLike[str],
    *,
    pools: Sequence[str] = (),
    providers: str | Sequence[str] | Mapping[str, Any] | None = None,
    models: str | Sequence[str] | Mapping[str, Any] | None = None,
    strategy: str | None = None,
    state_dir: str | os.PathLike[str] | None = None,
) -> ModelMesh:
    """A running mesh with only the named providers and models, and the strategy on the named pools, or on all.

    Raises ConfigurationError for an invalid configuration, ValueError for a name that the configuration does not have.
    """
    raw = dict(MeshConfig.of(config).raw)
    for section, wished in (("providers", providers), ("models", models)):
        if wished is not None:
            raw[section] = _chosen(section, raw.get(section, {}), wished)
    if strategy is not None:
        known = raw.get("pools", {})
        named = {name: {"capability": name, **known.get(name, {}), "strategy": strategy} for name in pools or known}
        raw["pools"] = {**known, **named}
    if state_dir is None and not _says_where(raw) and not _has_budget(raw):
        raw["storage"] = _IN_MEMORY
    mesh = ModelMesh(state_dir=None if state_dir is None else os.fspath(state_dir))
    mesh.initialize(MeshConfig.from_dict(raw))
    return mesh


def _chosen(section: str, known: Mapping[str, Any], wished: str | Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """A section with only the named entries, or with additional ones from a mapping."""
    if isinstance(wished, Mapping):
        return {**known, **wished}
    names = (wished,) if isinstance(wished, str) else wished
    if missing := [name for name in names if name not in known]:
        raise ValueError(f"{section}: the configuration has no {', '.join(missing)}")
    return {name: settings for name, settings in known.items() if name in names}


def _says_where(raw: Mapping[str, Any]) -> bool:
    """Whether the configuration says where state is kept."""
    daemon = raw.get("daemon")
    return bool(raw.get("storage")) or (isinstance(daemon, Mapping) and bool(daemon.get("state_dir")))


def _has_budget(raw: Any) -> bool:
    """Whether the configuration sets a budget, whose sums have to survive a restart."""
    if isinstance(raw, Mapping):
        return any(name in ("budget", "budget_limit") or _has_budget(value) for name, value in raw.items())
    return isinstance(raw, list | tuple) and any(_has_budget(item) for item in raw)
