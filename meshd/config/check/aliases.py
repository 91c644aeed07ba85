"""Checks of the section `aliases`: that each name can be asked for, and stands for something.

Owns: the rules of `aliases` only.
Must never: know which models a provider lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from meshd.config.check.values import as_map
from meshd.config.schema_walk import Report
from meshd.routing.table.aliases import LONGEST_NAME
from meshd.routing.table.capabilities import CapabilityTree
from modelmesh.wording import likeliest

_NAME = re.compile(r"[A-Za-z0-9.\-_/:@+\[\]*?]+")


def check_aliases(
    flat: dict[str, Any], tree: CapabilityTree, known_model: Callable[[str], bool], report: Report
) -> None:
    aliases, pools, models = (as_map(flat.get(section)) for section in ("aliases", "pools", "models"))
    for name, target in aliases.items():
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            report(("aliases", name), "a name may contain only letters, digits and . - _ / : @ + [ ] * ?", None)
        elif name in pools or name in models:
            section = "pools" if name in pools else "models"
            report(("aliases", name), f"{section}.{name} has this name, so the alias would never be used", None)
        if not isinstance(target, str) or target in pools or known_model(target) or tree.resolve(target) is not None:
            continue
        near = likeliest(target, [*pools, *models])
        hint = "; an alias cannot stand for another" if target in aliases else ""
        report(("aliases", name), f"there is no pool, capability or model {target!r}{hint}", near)
