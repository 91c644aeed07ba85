"""`modelmesh.create`: a client bound to a pool, which uses a daemon or an embedded mesh.

Owns: how the package that runs an embedded mesh is found. Must never: import that package by its name.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from modelmesh._sync.client import OpenAIClient
from modelmesh.errors import ConfigurationError

ENTRY_POINTS: Final = "modelmesh.embedded"
"""The group of entry points under which a package offers to run a mesh inside the process."""


class EmbeddedMesh(Protocol):
    """A running mesh."""

    @property
    def address(self) -> str:
        """Where its clients connect: an `inproc://` address."""

    def shutdown(self, drain: float | None = None) -> None:
        """Stop it; requests in flight may end within `drain` seconds. Idempotent."""


Start = Callable[..., EmbeddedMesh]
"""Starts a mesh: `start(config, *, pools, providers, models, strategy, state_dir)`, as for `modelmesh.create`."""


def _installed_start() -> Start:
    """The function that starts an embedded mesh. Raises ConfigurationError if the daemon's packages are not
    installed."""
    from importlib.metadata import entry_points

    why = "no package offers one"
    for offered in entry_points(group=ENTRY_POINTS):
        try:
            start: Start = offered.load()
        except ImportError as error:
            why = str(error)
        else:
            return start
    raise ConfigurationError(
        "running a mesh in this process needs the packages of the extra `daemon`, for instance by "
        f"pip install '.[daemon]' in the checkout ({why})"
    )


def create(
    *capabilities: str | Sequence[str],
    pool: str | None = None,
    providers: str | Sequence[str] | Mapping[str, Any] | None = None,
    models: str | Sequence[str] | Mapping[str, Any] | None = None,
    strategy: str | None = None,
    config: Mapping[str, Any] | str | os.PathLike[str] | Any = None,
    state_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> OpenAIClient:
    """A client whose calls without a model ask for `pool`, or else for the call's capability.

    config: a mesh's configuration (a MeshConfig, a mapping or a file), which is then run inside this process;
    `providers`, `models` and `strategy` refine it, and need it. state_dir: where that mesh keeps its state. If neither
    this nor the configuration names a place, and no budget has to outlive the mesh, state is kept in memory, so that
    any number of meshes can run at the same time, also next to a daemon. options: as for OpenAIClient.

    Raises ValueError for refinements without a configuration, ConfigurationError for an invalid one, or if the daemon's
    packages are not installed.
    """
    named = [name for each in capabilities for name in ((each,) if isinstance(each, str) else each)]
    wished = (pool,) if pool else tuple(named)
    refinements = {"providers": providers, "models": models, "strategy": strategy, "state_dir": state_dir}
    if config is None:
        if given := [name for name, value in refinements.items() if value is not None]:
            raise ValueError(
                f"{', '.join(given)}: a daemon's pools are configured there, not by its clients; "
                "name one with pool=, or pass config= to run a mesh in this process"
            )
        return OpenAIClient(_models=wished, **options)
    mesh = _installed_start()(config, pools=wished, **refinements)
    try:
        return EmbeddedClient(mesh, wished, options)
    except BaseException:
        mesh.shutdown(drain=0.0)
        raise


class _Held:
    """Shared by a client and its copies, and deleted with the last of them."""


def _shut_down(mesh: EmbeddedMesh) -> None:
    """In a thread of its own: garbage collection may run in any thread, even one of the mesh's."""
    with contextlib.suppress(RuntimeError):  # no threads can be started when the interpreter ends
        threading.Thread(target=mesh.shutdown, kwargs={"drain": 0.0}, name="modelmesh-shutdown", daemon=True).start()


class EmbeddedClient(OpenAIClient):
    """A client of a mesh inside this process, which lives as long as the client and its copies do."""

    def __init__(self, mesh: EmbeddedMesh, wished: Sequence[str], options: dict[str, Any]) -> None:
        self._mesh = mesh
        self._held = _Held()
        weakref.finalize(self._held, _shut_down, mesh).atexit = False
        super().__init__(mesh.address, _models=wished, **options)

    def close(self) -> None:
        """Release the connection and shut the mesh down. Idempotent."""
        super().close()
        self._mesh.shutdown()
