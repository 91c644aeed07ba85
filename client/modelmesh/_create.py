"""`modelmesh.create`: a client bound to a pool, which uses a daemon or an embedded mesh."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelmesh._client import OpenAIClient
from modelmesh.errors import ConfigurationError

if TYPE_CHECKING:
    from meshd import MeshConfig


def create(
    *capabilities: str | Sequence[str],
    pool: str | None = None,
    providers: str | Sequence[str] | Mapping[str, Any] | None = None,
    models: str | Sequence[str] | Mapping[str, Any] | None = None,
    strategy: str | None = None,
    config: MeshConfig | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    state_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> OpenAIClient:
    """A client whose calls without a model ask for `pool`, or else for the call's capability.

    config: a mesh's configuration (a MeshConfig, a mapping or a file), which is then run inside this process;
    `providers`, `models` and `strategy` refine it, and need it. state_dir: where that mesh keeps its state. If neither
    this nor the configuration names a place, and no budget has to outlive it, state is kept in memory, so that any
    number of them run beside each other and beside a daemon. options: as for OpenAIClient.

    Raises ValueError for refinements without a configuration, ConfigurationError for an invalid one, or if the daemon's
    packages are not installed.
    """
    named = [name for each in capabilities for name in ((each,) if isinstance(each, str) else each)]
    wished = (pool,) if pool else tuple(named)
    if config is None:
        refinements = {**_refinements(providers, models, strategy), "state_dir": state_dir}
        given = [name for name, value in refinements.items() if value is not None]
        if given:
            raise ValueError(
                f"{', '.join(given)}: a daemon's pools are configured there, not by its clients; "
                "name one with pool=, or pass config= to run a mesh in this process"
            )
        return OpenAIClient(_models=wished, **options)
    return _embedded(config, wished, _refinements(providers, models, strategy), state_dir, options)


def _refinements(providers: Any, models: Any, strategy: str | None) -> dict[str, Any]:
    return {"providers": providers, "models": models, "strategy": strategy}


def _embedded(
    config: Any, wished: Sequence[str], refinements: dict[str, Any], state_dir: Any, options: dict[str, Any]
) -> OpenAIClient:
    try:
        from meshd import MeshConfig, ModelMesh
    except ImportError as error:
        raise ConfigurationError(
            f'running a mesh in this process needs the daemon\'s packages: pip install "modelmesh[daemon]" ({error})'
        ) from error
    raw = _refined(MeshConfig.of(config).raw, wished, refinements)
    if state_dir is None and not _says_where(raw) and not _has_budget(raw):
        raw["storage"] = {"connector": "modelmesh.memory.v1"}
    mesh = ModelMesh(state_dir=state_dir)
    mesh.initialize(MeshConfig.from_dict(raw))
    try:
        return EmbeddedClient(mesh, wished, options)
    except BaseException:
        mesh.shutdown(drain=0.0)
        raise


def _refined(raw: Mapping[str, Any], wished: Sequence[str], refinements: dict[str, Any]) -> dict[str, Any]:
    """The configuration with only the named providers and models, and the strategy on the wished pools."""
    refined = dict(raw)
    for section in ("providers", "models"):
        value = refinements[section]
        value = (value,) if isinstance(value, str) else value
        if isinstance(value, Mapping):
            refined[section] = {**refined.get(section, {}), **value}
        elif value is not None:
            known = refined.get(section, {})
            if missing := [name for name in value if name not in known]:
                raise ValueError(f"{section}: the configuration has no {', '.join(missing)}")
            refined[section] = {name: settings for name, settings in known.items() if name in value}
    if refinements["strategy"] is not None:
        pools = dict(refined.get("pools", {}))
        for name in wished or list(pools):
            pools[name] = {"capability": name, **pools.get(name, {}), "strategy": refinements["strategy"]}
        refined["pools"] = pools
    return refined


def _says_where(raw: Mapping[str, Any]) -> bool:
    daemon = raw.get("daemon")
    return bool(raw.get("storage")) or (isinstance(daemon, Mapping) and bool(daemon.get("state_dir")))


def _has_budget(raw: Any) -> bool:
    """Whether anything has to be counted across a restart."""
    if isinstance(raw, Mapping):
        return any(name in ("budget", "budget_limit") or _has_budget(value) for name, value in raw.items())
    return isinstance(raw, list | tuple) and any(_has_budget(item) for item in raw)


class _Held:
    """Shared by a client and its copies, and gone with the last of them."""


def _shut_down(mesh: Any) -> None:
    """In a thread of its own: garbage collection may run in any thread, even one of the mesh's."""
    with contextlib.suppress(RuntimeError):  # no threads can be started when the interpreter ends
        threading.Thread(target=mesh.shutdown, kwargs={"drain": 0.0}, name="modelmesh-shutdown", daemon=True).start()


class EmbeddedClient(OpenAIClient):
    """A client of a mesh inside this process, which lives as long as the client and its copies do."""

    def __init__(self, mesh: Any, wished: Sequence[str], options: dict[str, Any]) -> None:
        self._mesh = mesh
        self._held = _Held()
        weakref.finalize(self._held, _shut_down, mesh).atexit = False
        super().__init__(mesh.get_client()._socket, _models=wished, **options)

    def close(self) -> None:
        """Release the connection and shut the mesh down. Idempotent."""
        super().close()
        self._mesh.shutdown()
