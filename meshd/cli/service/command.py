"""`meshctl service`: the daemon as a systemd service. It needs no daemon.

Must never: write anything that was not shown first, or that the user has not agreed to.
"""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.connect.backups import home
from meshd.cli.screen import output as out
from meshd.cli.service import plan as plans
from meshd.cli.service import standing, units
from meshd.cli.service.plan import Plan
from meshd.cli.service.units import Scope

app = helping.Commands()
service_app = helping.Commands(
    cls=helping.Few, no_args_is_help=True, help="Install meshd as a systemd service, remove it, and show its status."
)
app.add_typer(service_app, name="service", rich_help_panel=out.SET_UP)

SystemOption = Annotated[
    bool, typer.Option("--system", help="The machine's service, for all its users. The default for root.")
]
UserOption = Annotated[bool, typer.Option("--user", help="Your own service. The default for other users.")]
RootOption = Annotated[
    str | None, typer.Option("--root", metavar="DIR", help="Work on the image below DIR, and start nothing.")
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, with the files in full.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@service_app.command()
def install(
    system: SystemOption = False,
    user: UserOption = False,
    root: RootOption = None,
    dry_run: DryOption = False,
    yes: YesOption = False,
    as_json: out.JsonOption = False,
) -> None:
    """Install the units, and enable them. The changes are shown first.

    After an upgrade, the same command brings the units up to date. `meshctl service uninstall` undoes it exactly.

    $ meshctl service install --user
    $ sudo meshctl service install --system
    """
    scope = _scope(system=system, user=user, root=root)
    plan = plans.to_install(scope)
    _show(plan, dry_run=dry_run, as_json=as_json)
    done = _agreed(dry_run=dry_run, yes=yes, as_json=as_json)
    kept = plans.install(plan) if done else []
    _tell(plan, "installed", kept, standing.advice(scope) if done else [], done=done, as_json=as_json)


@service_app.command()
def uninstall(
    system: SystemOption = False,
    user: UserOption = False,
    root: RootOption = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove the state of the machine's service, and its user.")
    ] = False,
    dry_run: DryOption = False,
    yes: YesOption = False,
    as_json: out.JsonOption = False,
) -> None:
    """Stop the service, remove its units, and restore what was there before.

    State, weights and the configuration stay, and with them the user that the machine's service runs as.

    $ sudo meshctl service uninstall --system --purge
    """
    scope = _scope(system=system, user=user, root=root)
    if purge and scope.name == "user":
        raise daemon.Misused("--purge is for --system: a daemon started by hand uses your state too")
    plan = plans.to_uninstall(scope, purge=purge)
    _show(plan, dry_run=dry_run, as_json=as_json)
    done = _agreed(dry_run=dry_run, yes=yes, as_json=as_json)
    kept = plans.uninstall(plan) if done else []
    _tell(plan, "removed", kept, [], done=done, as_json=as_json)


@service_app.command()
def status(
    system: SystemOption = False,
    user: UserOption = False,
    root: RootOption = None,
    as_json: out.JsonOption = False,
) -> None:
    """Show whether the service is installed, by what, and whether its units are up to date, switched on and running.

    $ meshctl service status
    """
    if system or user or root:
        scopes = [_scope(system=system, user=user, root=root, looks=True)]
    else:
        scopes = [units.system(), units.user(home())]
    found = {scope.name: standing.of(scope) for scope in scopes}
    if as_json:
        out.print_json(found)
        return
    for name, each in found.items():
        out.print_fields([("service", (name, out.HEAD)), *standing.fields(each)])


def _scope(*, system: bool, user: bool, root: str | None, looks: bool = False) -> Scope:
    if (system and user) or (user and root):
        raise daemon.Misused("--user cannot be combined with --system or --root")
    is_root = os.geteuid() == 0
    if root is not None:
        return units.system(_image(root))
    if system or (is_root and not user):
        if not is_root and not looks:
            command = shlex.join([os.path.abspath(daemon.called("meshctl")), *sys.argv[1:]])
            raise daemon.Refused(f"only root can change the machine's service: sudo {command}")
        return units.system()
    return units.user(home())


def _image(root: str) -> str:
    """Raises Misused."""
    if not os.path.isdir(root) or Path(root).resolve() == Path("/"):
        raise daemon.Misused(f"{root} is not the root directory of an image")
    return str(Path(root).resolve())


def _show(plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        return
    steps = [("run", " ".join(command)) for command in plan.first]
    for change in plan.changes:
        if change.edited_since:
            out.remark(f"{change.path} was changed since; a copy is kept.")
        steps.append((change.what, str(change.path)))
    steps += [("removed", f"{folder}, with everything in it") for folder in plan.purge]
    steps += [("run", " ".join(command)) for command in plan.then]
    out.print_table(["what", "where"], steps)
    for change in plan.changes:
        if change.what == "changed" or (dry_run and change.what != "same"):
            out.write(f"{change.diff()}\n")


def _agreed(*, dry_run: bool, yes: bool, as_json: bool) -> bool:
    if dry_run:
        return False
    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        raise daemon.Refused("nothing was done: give --yes, or --dry-run to see what would be done")
    return typer.confirm("Do this?", err=True)


def _tell(plan: Plan, what: str, kept: list[Path], notes: list[str], *, done: bool, as_json: bool) -> None:
    scope = plan.scope
    if as_json:
        found: dict[str, Any] = {"scope": scope.name, "done": done}
        found["files"] = [{"path": str(change.path), "change": change.what} for change in plan.changes]
        found["commands"] = [" ".join(command) for command in (*plan.first, *plan.then)]
        found |= {"kept": [str(path) for path in kept], "notes": notes}
        out.print_json(found)
        return
    if not done:
        return
    for path in kept:
        out.say(f"The changed file is kept as {path}.")
    whose = "the machine's service" if scope.name == "system" else f"the service of {getpass.getuser()}"
    out.say(f"{what.capitalize()}: {whose}.", out.GOOD)
    for note in notes:
        out.say(note)
