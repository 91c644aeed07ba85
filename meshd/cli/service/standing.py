"""The state of the service: its files, its units, and what is left to do.

Must never: change anything.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any

from meshd.cli import daemon
from meshd.cli.connect import files
from meshd.cli.programs import output_of
from meshd.cli.screen import output as out
from meshd.cli.service import plan as plans
from meshd.cli.service import record as records
from meshd.cli.service.record import Record
from meshd.cli.service.units import SERVICE, SOCKET, Scope, wanted


def of(scope: Scope) -> dict[str, Any]:
    """installed: whether there are units; by: meshctl, package, hand, or None. files: path → current, outdated,
    edited or missing. enabled and active: by unit, as systemctl says; None where no systemd runs."""
    held, fault = None, None
    try:
        held = records.load(scope.record)
    except (daemon.Refused, OSError) as error:
        fault = str(error)
    package = plans.packaged(scope)
    by = "meshctl" if held else "package" if package else "hand" if (scope.units / SERVICE).exists() else None
    found: dict[str, Any] = {"installed": by is not None, "by": by, "files": {}, "enabled": None, "active": None}
    if fault:
        found["fault"] = fault
    if held is not None:
        found["files"] = _files(scope, held)
    elif by == "package":
        found["files"] = {str(package): "current"}
    if by is not None:
        units = (SOCKET, SERVICE)
        found["enabled"] = {unit: _said(scope, "is-enabled", unit) for unit in units}
        found["active"] = {unit: _said(scope, "is-active", unit) for unit in units} if scope.is_live else None
    if scope.name == "user":
        found["lingers"] = _lingers()
    return found


def _files(scope: Scope, held: Record) -> dict[str, str]:
    try:
        current = wanted(scope)
    except daemon.Refused:
        current = {}
    found = {}
    for kept in held.files:
        now = files.read(Path(kept.path))
        if now.data is None:
            found[kept.path] = "missing"
        elif not kept.is_as_written(now):
            found[kept.path] = "edited"
        else:
            found[kept.path] = "current" if current.get(Path(kept.path)) == now.data else "outdated"
    return found


def fields(found: dict[str, Any]) -> list[tuple[str, Any]]:
    if not found["installed"]:
        return [("installed", "no"), ("problem", _bad(found.get("fault")))]
    by = {"meshctl": "by meshctl", "package": "by a package", "hand": "by hand"}[found["by"]]
    wrong = {path: state for path, state in found["files"].items() if state != "current"}
    rows: list[tuple[str, Any]] = [("installed", by)]
    rows += [(state, (path, out.BAD if state == "missing" else "")) for path, state in wrong.items()]
    if "outdated" in wrong.values() or "missing" in wrong.values():
        rows.append(("", "`meshctl service install` brings it up to date"))
    for unit in (SOCKET, SERVICE):
        states = [(found[what] or {}).get(unit) for what in ("enabled", "active")]
        rows.append((unit, ", ".join(filter(None, states))))
    if found.get("lingers") is False:
        rows.append(("lingers", "no: it ends when you log out (`loginctl enable-linger`)"))
    return rows


def _bad(text: str | None) -> tuple[str, str] | None:
    return (text, out.BAD) if text else None


def advice(scope: Scope) -> list[str]:
    """What is left to do after an installation, one sentence each."""
    if not scope.is_live:
        where = "in the image" if scope.root is not None else "here"
        return [f"systemd does not run {where}: the service starts when it does."]
    if scope.name == "system":
        return [
            "Members of the group meshd may use it after their next login: sudo usermod -aG meshd NAME",
            "Keys: docs/operating.md, or a file /etc/credstore/OPENAI_API_KEY of mode 600.",
        ]
    notes = ["It starts with the first request. Keys are taken from ~/.config/meshd/environment."]
    if _lingers() is False:
        notes.append("It ends when you log out; `loginctl enable-linger` keeps it running.")
    return notes


def _lingers() -> bool | None:
    said = output_of("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value")
    if said in ("yes", "no"):
        return said == "yes"
    if not os.path.isdir("/run/systemd/system"):
        return None
    # For a user who is not logged in, logind has nothing but this file.
    return os.path.exists(f"/var/lib/systemd/linger/{getpass.getuser()}")


def _said(scope: Scope, question: str, unit: str) -> str | None:
    return output_of(*scope.systemctl, question, unit) or None
