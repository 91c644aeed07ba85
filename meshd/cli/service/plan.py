"""What installing or removing the service would change, and doing it.

Owns: the order (record, files, users, units), and that only what was shown is written.
Must never: ask or print.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import msgspec

from meshd.cli import daemon
from meshd.cli.connect import files
from meshd.cli.connect.files import Content
from meshd.cli.service import record as records
from meshd.cli.service.record import Kept, Record
from meshd.cli.service.units import SERVICE, Scope, wanted

_USER = "meshd"
_STATE = "/var/lib/meshd"
_MODE = 0o644  # units are not secret: `systemctl cat` shows them to every user
_PATIENCE = 90.0  # s; a stop may take as long as requests in flight do
_MADE = ("/etc/meshd", "/etc/credstore", "/run/meshd")


class Change(msgspec.Struct, frozen=True):
    """One file. edited_since: it was changed by other means than `meshctl service`, and a copy is kept."""

    path: Path
    now: Content
    then: Content
    edited_since: bool = False

    @property
    def what(self) -> str:
        if self.now == self.then:
            return "same"
        if self.then.data is None:
            return "removed"
        return "new" if self.now.data is None else "changed"

    def diff(self) -> str:
        before, after = ((each.data or b"").decode("utf-8", "replace").splitlines() for each in (self.now, self.then))
        return "\n".join(difflib.unified_diff(before, after, str(self.path), str(self.path), lineterm=""))


class Plan(msgspec.Struct, frozen=True):
    """first: commands that run before files change; then: after. purge: directories to remove with their content."""

    scope: Scope
    changes: list[Change]
    first: list[list[str]] = []
    then: list[list[str]] = []
    record: Record | None = None
    purge: list[Path] = []


def to_install(scope: Scope) -> Plan:
    """Raises Refused."""
    held = records.load(scope.record)
    package = packaged(scope)
    if held is None and package is not None:
        call = " ".join([*scope.systemctl, "enable", "--now", *scope.enabled])
        raise daemon.Refused(f"a package has installed {package}; switch it on with: {call}")
    made = held or Record()
    files_wanted = wanted(scope)
    changes = []
    for path, data in files_wanted.items():
        now, kept = files.read(path), made.of(path)
        edited = kept is not None and now.data is not None and not kept.is_as_written(now) and now.data != data
        changes.append(Change(path, now, Content(data, _MODE), edited))
    for kept in made.files:  # such as a drop-in that is not needed any more
        if Path(kept.path) not in files_wanted:
            changes.append(_to_restore(kept))
    changed = any(each.what != "same" for each in changes)
    return Plan(scope, changes, then=_switching_on(scope, changed=changed), record=made)


def packaged(scope: Scope) -> Path | None:
    """A unit that a distribution's package has installed."""
    return next((each / SERVICE for each in scope.packaged if (each / SERVICE).exists()), None)


def _switching_on(scope: Scope, *, changed: bool) -> list[list[str]]:
    root = [f"--root={scope.root}"] if scope.root is not None else []
    commands = []
    if scope.name == "system" and changed:
        commands += [["systemd-sysusers", *root, "meshd.conf"], ["systemd-tmpfiles", *root, "--create", "meshd.conf"]]
    if not scope.is_live:
        return [*commands, [*scope.systemctl, "enable", *scope.enabled]]
    if changed:
        commands.append([*scope.systemctl, "daemon-reload"])
    commands.append([*scope.systemctl, "enable", "--now", *scope.enabled])
    if changed:
        commands.append([*scope.systemctl, "try-restart", SERVICE])
    return commands


def to_uninstall(scope: Scope, *, purge: bool) -> Plan:
    """purge: also the state and the user of the machine's service. Raises Refused."""
    held = records.load(scope.record)
    if held is None:
        package = packaged(scope)
        said = f"{package} belongs to a package: remove that" if package else None
        raise daemon.Refused(said or "`meshctl service install` was not used here")
    live = scope.is_live
    units = [unit for unit in scope.enabled if (scope.units / unit).exists()]
    first = [[*scope.systemctl, "disable", *(["--now"] if live else []), *units]] if units else []
    then = [[*scope.systemctl, "daemon-reload"]] if live else []
    state = scope.at(_STATE)
    gone = [state] if purge and state.is_dir() else []
    # State never outlives its user, because another user could be given the same uid.
    if _has_user(scope) and (purge or (held.made_user and not state.is_dir())):
        root = ["--prefix", scope.root] if scope.root is not None else []
        # The group first, since `userdel` leaves a group that has other members.
        then += [["groupdel", *root, "--force", _USER], ["userdel", *root, _USER]]
    return Plan(scope, [_to_restore(kept) for kept in held.files], first, then, held, gone)


def _to_restore(kept: Kept) -> Change:
    now = files.read(Path(kept.path))
    edited = now.data is not None and not kept.is_as_written(now) and now != kept.content
    return Change(Path(kept.path), now, kept.content, edited)


def install(plan: Plan) -> list[Path]:
    """Returns where files are kept that were edited. Raises Refused, OSError."""
    scope, held = plan.scope, plan.record or Record()
    _check(plan.changes)
    held.made_user = held.made_user or (scope.name == "system" and not _has_user(scope))
    missing = [each for each in _MADE if scope.name == "system" and not scope.at(each).exists()]
    held.made_folders = list(dict.fromkeys([*held.made_folders, *missing]))
    copies = [_keep(scope, change) for change in plan.changes if change.edited_since]
    for change in plan.changes:
        _note(held, change)
    records.store(scope.record, held)
    for change in plan.changes:
        _write(held, change)
    held.files = [kept for kept in held.files if kept.after]
    records.store(scope.record, held)
    _run(plan.then)
    return copies


def _note(held: Record, change: Change) -> None:
    kept = held.of(change.path)
    if kept is None:
        kept = Kept(str(change.path), change.now.data, change.now.mode, "")
        held.files.append(kept)
    kept.after = "" if change.then.data is None else records.digest(change.then.data)


def _write(held: Record, change: Change) -> None:
    kept = held.of(change.path)
    if change.then.data is None:
        files.remove(change.path, kept.made if kept is not None else [])
    elif change.what != "same":
        made = files.write(change.path, change.then.data, change.then.mode or _MODE, folders=0o755)
        if kept is not None:
            kept.made += made


def uninstall(plan: Plan) -> list[Path]:
    """Returns where files are kept that were edited. Raises Refused, OSError."""
    scope, held = plan.scope, plan.record or Record()
    _check(plan.changes)
    _run(plan.first)
    copies = [_keep(scope, change) for change in plan.changes if change.edited_since]
    for change in reversed(plan.changes):  # the first may have made the folders of all
        _write(held, change)
    for folder in plan.purge:
        shutil.rmtree(folder)
    for name in held.made_folders:
        with contextlib.suppress(OSError):  # what the operator put there stays
            os.rmdir(scope.at(name))
    _run(plan.then)
    files.remove(scope.record, held.made)
    return copies


def _keep(scope: Scope, change: Change) -> Path:
    data = change.now.data or b""
    kept = scope.record.parent / f"{scope.record.stem}.{change.path.name}.{records.digest(data)[:8]}"
    files.write(kept, data, files.PRIVATE)
    return kept


def _check(changes: list[Change]) -> None:
    for change in changes:
        if files.read(change.path) != change.now:
            raise daemon.Refused(f"{change.path} was changed just now; run the command again")


def _has_user(scope: Scope) -> bool:
    if scope.root is None:
        return any(each.pw_name == _USER for each in pwd.getpwall())
    try:
        lines = scope.at("/etc/passwd").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{_USER}:") for line in lines)


def _run(commands: list[list[str]]) -> None:
    """Raises Refused with the program's own message."""
    for command in commands:
        shown = " ".join(command)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except FileNotFoundError:
            raise daemon.Refused(f"{command[0]} is not installed") from None
        except subprocess.TimeoutExpired:
            raise daemon.Refused(f"`{shown}` did not end within {_PATIENCE:.0f} s") from None
        if done.returncode != 0:
            raise daemon.Refused(f"`{shown}` failed: {done.stderr.strip() or done.returncode}")
