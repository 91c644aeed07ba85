"""Packages as pip installs them: a folder of metadata, and modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(place: Path, name: str, code: str, *, points: Mapping[str, str] | None = None) -> None:
    """A package with one module of the same name. points: its entry points; None: one to its `CONNECTORS`."""
    points = {name: f"{name}:CONNECTORS"} if points is None else points
    (place / f"{name}.py").write_text(code, "utf-8")
    metadata = place / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
    lines = "".join(f"{point} = {value}\n" for point, value in points.items())
    (metadata / "entry_points.txt").write_text(f"[meshd.connectors]\n{lines}", "utf-8")


def uninstall(place: Path, name: str) -> None:
    metadata = place / f"{name}-1.0.dist-info"
    for file in metadata.iterdir():
        file.unlink()
    metadata.rmdir()
    (place / f"{name}.py").unlink()
