"""The mesh's own operations: questions about its state, and operators' commands.

Owns: which groups of operations there are; each registers its own in the dispatch table.
Must never: hold state; other actors are asked for theirs.
"""

from __future__ import annotations

from meshd.gateway.control.clients import Clients
from meshd.gateway.control.commands import Commands
from meshd.gateway.control.explain import Explaining
from meshd.gateway.control.inventory import Inventory
from meshd.gateway.control.status import Activity
from meshd.gateway.control.usage import Money
from meshd.gateway.router import RouterCore

GROUPS = (Inventory, Activity, Clients, Money, Explaining, Commands)


class Operations:
    """Registers all groups with a core, and who may give commands."""

    def __init__(self, core: RouterCore) -> None:
        core.dispatcher.is_admin = lambda caller: core.mesh.apps.is_admin(caller)
        for group in GROUPS:
            group(core)


__all__ = ["Operations"]
