"""Checks of pools' rules: those that have a syntax of their own, and those that name other pools.

Owns: the checks of `select`, `require`, fallbacks, maintenance windows, and their time zone.
Must never: evaluate anything, or read anything but the configuration and the machine's time zones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from meshd.config.check.values import as_map, report_unknown
from meshd.config.schema_walk import Report
from meshd.core.text.key_path import Path
from meshd.host.installing import command_for
from meshd.routing.decision.stages.maintenance import parse_maintenance
from meshd.routing.select.attributes import SelectionError
from meshd.routing.select.require import conditions
from meshd.routing.table.capabilities import PREDEFINED_POOLS
from modelmesh.wording import likeliest


class RuleChecks:
    """Checks every pool, and `daemon.timezone`."""

    def __init__(self, flat: dict[str, Any], report: Report) -> None:
        self._flat = flat
        self._report = report
        self._pools = as_map(flat.get("pools"))
        self._pool_names = dict.fromkeys([*self._pools, *PREDEFINED_POOLS])

    def run(self) -> None:
        for name, entry in self._pools.items():
            at, pool = ("pools", name), as_map(entry)
            self._check_select((*at, "select"), pool.get("select"))
            self._check_require((*at, "require"), pool.get("require"))
            self._check_fallbacks(at, name, pool)
            window = as_map(pool.get("deactivation")).get("maintenance_window")
            self._check_maintenance((*at, "deactivation", "maintenance_window"), window)
        self._check_timezone(as_map(self._flat.get("daemon")).get("timezone"))

    def _check_select(self, at: Path, text: Any) -> None:
        if isinstance(text, str):
            from meshd.routing.select.expression import compile_selection

            try:
                compile_selection(text)
            except SelectionError as error:
                where = f"character {error.position}: " if error.position is not None else ""
                self._report(at, where + error.problem, error.suggestion)

    def _check_require(self, at: Path, require: Any) -> None:
        for condition in conditions(as_map(require)):
            try:
                condition.compiled()
            except SelectionError as error:
                self._report((*at, *condition.path), error.problem, error.suggestion)

    def _check_fallbacks(self, at: Path, name: str, pool: dict[str, Any]) -> None:
        names = pool.get("fallback_pools")
        others = [other for other in self._pool_names if other != name]
        report_unknown(self._report, (*at, "fallback_pools"), names, self._pool_names.__contains__, "pool", others)
        for index, other in enumerate(names if isinstance(names, list | tuple) else ()):
            if other == name:
                self._report((*at, "fallback_pools", index), "a pool cannot be its own fallback", None)
        strategy = pool.get("fallback_strategy")
        if strategy is not None and strategy == pool.get("strategy"):
            self._report((*at, "fallback_strategy"), "must differ from `strategy`", None)

    def _check_maintenance(self, at: Path, text: Any) -> None:
        if isinstance(text, str):
            try:
                parse_maintenance(text)
            except ValueError as error:
                self._report(at, str(error), None)

    def _check_timezone(self, name: Any) -> None:
        if not isinstance(name, str) or is_timezone(name):
            return
        if not available_timezones():
            message = f"{name!r} cannot be looked up: Python finds no time zones here: {command_for('tzdata')}"
            self._report(("daemon", "timezone"), message, None)
            return
        self._report(("daemon", "timezone"), f"there is no time zone {name!r}", _nearest_zone(name))


def is_timezone(name: str) -> bool:
    if name == "UTC":  # it needs no time zone database
        return True
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # a folder of zones ("Europe") is an OSError
        return False
    return True


def _nearest_zone(name: str) -> str | None:
    """The closest zone, by its whole name or only by the city."""
    zones = sorted(available_timezones())
    return likeliest(name, zones) or _by_city(name, zones)


def _by_city(name: str, zones: Iterable[str]) -> str | None:
    by_city = {zone.rpartition("/")[2]: zone for zone in zones}
    return by_city.get(likeliest(name.rpartition("/")[2], by_city) or "")
