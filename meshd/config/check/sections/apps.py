"""Checks of the section `apps` beyond types: each entry must match a process, and allow what exists.

Owns: the rules of `apps` only.
Must never: decide who a caller is; the router does that, from what the kernel says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshd.config.check.sections.listening import client_keys
from meshd.config.check.values import as_map, report_unknown
from meshd.config.schema_walk import Report
from meshd.core.text.key_path import Path
from meshd.host import users
from meshd.routing.table.access import DEFAULT_APP
from meshd.routing.table.capabilities import PREDEFINED_POOLS, CapabilityTree
from modelmesh.wording import likeliest


class AppChecks:
    """known_model: whether a model with an id exists, or may exist."""

    def __init__(
        self, flat: dict[str, Any], report: Report, known_model: Callable[[str], bool], tree: CapabilityTree
    ) -> None:
        self._apps = as_map(flat.get("apps"))
        tokens = as_map(as_map(flat.get("proxy")).get("auth")).get("tokens")
        self._with_tokens = {as_map(each).get("app") for each in tokens} if isinstance(tokens, list | tuple) else set()
        self._with_tokens |= client_keys(flat)
        self._pools = as_map(flat.get("pools"))
        self._models = list(as_map(flat.get("models")))
        self._report = report
        self._known_model = known_model
        self._tree = tree

    def run(self) -> None:
        for name, entry in self._apps.items():
            app, at = as_map(entry), ("apps", name)
            self._check_match(name, as_map(app.get("match")), at)
            pools = [*self._pools, *(pool for pool in PREDEFINED_POOLS if pool not in self._pools)]
            report_unknown(self._report, (*at, "pools"), app.get("pools"), self._known_pool, "pool", pools)
            report_unknown(self._report, (*at, "models"), app.get("models"), self._known_model, "model", self._models)

    def _check_match(self, name: str, match: dict[str, Any], at: Path) -> None:
        given = {key: value for key, value in match.items() if value not in (None, "", [], ())}
        if name == DEFAULT_APP:
            if given:
                self._report(
                    (*at, "match"), "`default` is for apps that match no other entry, so it has no `match`", None
                )
            return
        if not given:
            if name not in self._with_tokens:
                what = "a uid, user, gid, group, exe, unit, token or curve_key"
                self._report(at, f"matches nothing: `match` needs {what}", None)
        elif len(given) > 1 and (alone := next((key for key in ("token", "curve_key") if key in given), "")):
            what = alone.removeprefix("curve_")
            self._report((*at, "match", alone), f"a {what} stands for itself: leave out the other keys", None)
        for key, id_of, names in (("user", users.uid_of, users.user_names), ("group", users.gid_of, users.group_names)):
            value = given.get(key)
            if isinstance(value, str) and id_of(value) is None:
                near = likeliest(value, names())
                self._report((*at, "match", key), f"there is no {key} {value!r} on this machine", near)
        exe = given.get("exe")
        if isinstance(exe, str) and not exe.startswith("/"):
            self._report((*at, "match", "exe"), f"expected the full path of a program, got {exe!r}", None)

    def _known_pool(self, name: str) -> bool:
        """Whether the pool is configured, predefined, or one of those that exist per capability if none is
        configured."""
        if name in self._pools or name in PREDEFINED_POOLS:
            return True
        node = self._tree.resolve(name) if not self._pools else None
        return node is not None and self._tree.alias(node) == name
