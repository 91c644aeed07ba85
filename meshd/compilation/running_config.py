"""One configuration, ready to run. Created by the config actor, agreed by all actors, never changed.

Owns: the bundle of what a reload replaces at one instant.
Must never: hold state that requests change.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.config import MeshConfig
from meshd.routing.table.access import AppMatch
from meshd.routing.table.specs import RoutingTable
from meshd.sdk.provider import ProviderSettings


class RunningConfig(msgspec.Struct, frozen=True, eq=False):
    """config: with secrets resolved. table: for routing. providers: name → connector settings. matches: of apps, in the
    order in which they are tried. secret_names: provider → the secrets in its settings. stored: the configuration as
    written, references unresolved."""

    number: int
    config: MeshConfig
    stored: MeshConfig
    table: RoutingTable
    providers: Mapping[str, ProviderSettings]
    matches: tuple[AppMatch, ...] = ()
    secret_names: Mapping[str, tuple[str, ...]] = {}
    source: str = ""  # the file, or "built-in"
    notes: tuple[str, ...] = ()  # for the user, such as which providers are disabled and why
    warnings: tuple[str, ...] = ()  # for the user: what runs anyway but is not safe
