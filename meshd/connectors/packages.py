"""Reads the connectors that installed packages offer from their entry points, and checks them.

Owns: what makes an entry point or a spec unusable, and the message for it.
Must never: let another package's mistake cause an exception; each becomes a `Fault`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from meshd.core.text.exceptions import one_line
from meshd.sdk.connector import DISTRIBUTION, ENTRY_POINTS, TYPES, ConnectorSpec, load

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_ID = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
OWN = "meshd.connectors.built_in.connectors:CONNECTORS"
"""Our own entry point, which needs no search of the installed packages."""


class Fault(msgspec.Struct, frozen=True):
    """Why a package's connector is left out, and what to do. id, type: "" if the whole package is left out."""

    package: str
    message: str
    advice: str
    id: str = ""
    type: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


Found = ConnectorSpec | Fault


def own() -> list[ConnectorSpec]:
    """The connectors that come with the daemon. A mistake in them is a defect, so it raises."""
    return list(load(OWN))


def others() -> Iterator[Found]:
    """The connectors of all other packages, in the order of the packages' names."""
    from importlib.metadata import entry_points

    points = [(_package(point), point) for point in entry_points(group=ENTRY_POINTS)]
    for package, point in sorted(points, key=lambda each: (each[0], each[1].name)):
        if package != DISTRIBUTION:
            yield from _of_point(package, point)


def installed() -> tuple[tuple[str, int], ...]:
    """A value that changes when a package is installed or removed."""
    return tuple((path, _changed(path)) for path in sys.path)


def _of_point(package: str, point: EntryPoint) -> Iterator[Found]:
    try:
        rows = point.load()
        rows = [rows] if isinstance(rows, ConnectorSpec) else list(rows)
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        message = f"the package {package} offers connectors, but {point.value} cannot be read: {one_line(error)}"
        yield Fault(package, message, f"update or uninstall {package}")
        return
    for row in rows:
        fault = _fault_of(row)
        if fault:
            id, kind = (str(row.id), str(row.type)) if isinstance(row, ConnectorSpec) else ("", "")
            message = f"the package {package} offers a connector{f' {id!r}' if id else ''} that cannot be used: {fault}"
            yield Fault(package, message, f"update or uninstall {package}", id, kind)
        else:
            yield replace(row, package=package)


def _fault_of(row: Any) -> str:
    if not isinstance(row, ConnectorSpec):
        return f"expected a meshd.sdk.connector.ConnectorSpec, got {type(row).__name__}"
    if row.type not in TYPES:
        return f"its type {row.type!r} is not one of {', '.join(TYPES)}"
    if not isinstance(row.id, str) or not _ID.fullmatch(row.id):
        return "its id must have parts of lower-case letters, digits and -, separated by dots, such as acme.llm.v1"
    if not isinstance(row.factory, str) or not _PATH.fullmatch(row.factory):
        return f"its factory is {row.factory!r}, not module:attribute"
    for name in ("aliases", "requires"):
        given = getattr(row, name)
        if not isinstance(given, tuple) or not all(isinstance(each, str) for each in given):
            return f"its {name} must be a tuple of texts"
    return _settings_fault(row)


def _settings_fault(row: ConnectorSpec) -> str:
    """What is wrong with its settings. Validation and documentation read them, and must not get an exception."""
    if row.settings is None:
        return ""
    from pydantic import BaseModel

    try:
        schema = load(row.settings)
    except (Exception, SystemExit) as error:
        return f"its settings {row.settings!r} cannot be read: {one_line(error)}"
    if not isinstance(schema, type) or not issubclass(schema, BaseModel):
        return f"its settings {row.settings!r} must name a pydantic model"
    return ""


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module.partition(".")[0]


def _changed(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0
