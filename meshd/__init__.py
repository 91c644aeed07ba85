"""meshd: a daemon that gives every app on the machine one place to ask for AI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["MeshConfig", "ModelMesh", "__version__"]

if TYPE_CHECKING:
    from meshd.config import MeshConfig
    from meshd.mesh import ModelMesh


def __getattr__(name: str) -> Any:
    # Lazily: most of the package is imported by processes that need one small part of it.
    if name == "ModelMesh":
        from meshd.mesh import ModelMesh

        return ModelMesh
    if name == "MeshConfig":
        from meshd.config import MeshConfig

        return MeshConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
