"""What the config actor hears, and its answers."""

from __future__ import annotations

from typing import Any

from meshd.core.messaging.message import Message


class Reload(Message, frozen=True):
    """Read the file again → config. Answered with a ReloadReport. config: a MeshConfig to use instead of the file.
    digest: of the content that the watch saw; if the file has changed since, another Reload follows. secrets_only: the
    file is not read; only its secrets have new values."""

    dry_run: bool = False
    config: Any = None
    digest: bytes | None = None
    secrets_only: bool = False
    reason: str = "asked"


class ReloadReport(Message, frozen=True):
    """What a reload changed, or why it was refused. problems: maps with path, file, line, message, suggestion."""

    ok: bool
    changes: tuple[str, ...] = ()
    problems: tuple[dict[str, Any], ...] = ()
    generation: int = 0
    dry_run: bool = False
    duration: float = 0.0  # s
    at: float = 0.0  # UTC, s


class LastReload(Message, frozen=True):
    """→ config; answered with the last ReloadReport, None before the first reload."""


class GetConfig(Message, frozen=True):
    """→ config; answered with the MeshConfig in use, references unresolved."""


class CatalogueChanged(Message, frozen=True):
    """A provider's offer, as discovery found it → config, which makes the next generation from it.

    models: all that the provider offers now; None if it is gone. settings: for a local server that no configuration
    names, the provider section to add.
    """

    provider: str
    models: tuple[dict[str, Any], ...] | None
    settings: dict[str, Any] | None = None
