"""meshd: a local gateway for every app that uses AI models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelmesh.version import VERSION as __version__

__all__ = ["MeshConfig", "ModelMesh", "__version__"]

if TYPE_CHECKING:
    from meshd.config import MeshConfig
    from meshd.mesh import ModelMesh


_HOMES = {"ModelMesh": "meshd.mesh", "MeshConfig": "meshd.config"}


def __getattr__(name: str) -> Any:
    # Imported lazily: most processes need only a small part of the package.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from meshd.host.process.start import is_ours, what_to_install

        if is_ours(error):
            raise
        raise ModuleNotFoundError(what_to_install(error), name=error.name) from None
