"""`meshctl doctor`: what is wrong, and what to do about it.

Must never: change anything, or end because a check itself fails; that is a finding as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.holder import held_by
from meshd.cli.screen import output as out
from meshd.state.directory import default_state_dir

if TYPE_CHECKING:
    from meshd.cli.setup.diagnosis.checks import Finding

app = helping.Commands()

_MARKS = {"ok": ("✓", out.GOOD), "warning": ("!", "yellow"), "problem": ("✗", out.BAD)}
_PROBE_TIMEOUT = 60.0


@app.command(rich_help_panel=out.SET_UP)
def doctor(as_json: out.JsonOption = False) -> None:
    """Check the installation and the daemon, and say what to do about each problem.

    Exit code 1 if there is a problem, 69 if no daemon runs.
    """
    findings: list[Finding] = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            print_finding(finding)
    bad, doubtful = ([each for each in findings if each.level == level] for level in ("problem", "warning"))
    if as_json:
        rows = [{name: getattr(finding, name) for name in finding.__struct_fields__} for finding in findings]
        out.print_json({"ok": not bad, "checks": rows})
    else:
        said = ", ".join(
            f"{len(some)} {what}{'s' if len(some) != 1 else ''}"
            for what, some in (("problem", bad), ("warning", doubtful))
            if some
        )
        out.say(said or "no problems found", out.BAD if bad else "yellow" if doubtful else out.GOOD)
    if any(finding.subject == "daemon unreachable" for finding in findings):
        raise typer.Exit(daemon.NO_DAEMON)
    if bad:
        raise typer.Exit(daemon.REFUSED)


def print_finding(finding: Finding) -> None:
    mark, style = _MARKS[finding.level]
    if not out.on_terminal():
        mark = finding.level  # programs that read lines get a word instead of a symbol
    out.say(f"{mark} {finding.subject}: {finding.message}", None if finding.level == "ok" else style, hang=2)
    if finding.advice:
        out.say(f"    → {finding.advice}", hang=2)


def examine() -> Iterator[Finding]:
    from meshd.cli.setup.diagnosis import checks, posture_checks

    yield from _safely("python", checks.python_and_packages)
    yield from _safely("packages", checks.packages)
    yield from _safely("clock", checks.clock)
    yield from _safely("weights", lambda: checks.weights(weights_here()))
    yield from _safely("units", checks.units)
    status, unreachable = _status()
    yield from _safely("embedded models", lambda: posture_checks.embedded_models(status or {}))
    yield from _safely("posture", posture_checks.default_sockets)
    socket = list(_safely("socket", lambda: checks.sockets(daemon.paths())))
    if status is None:
        yield from _without_daemon(socket, unreachable)
        return
    yield from socket
    yield from _safely("daemon", lambda: checks.version(status))
    yield from _safely("daemon", lambda: checks.daemon_health(status))
    state = status.get("state") or {}
    directory = Path(str(state.get("directory") or default_state_dir()))
    yield from _safely("state", lambda: checks.state_directory(directory, state))
    failing = set()
    for finding in _safely("providers", lambda: checks.providers(_probed(), _providers())):
        if finding.level != checks.OK:
            failing.add(finding.subject.removeprefix("provider "))
        yield finding
    yield from _safely("models", lambda: checks.failing_models(status, failing))
    models = {str(model.get("id")) for model in status.get("failing") or ()}
    yield from _safely("pools", lambda: checks.pools(daemon.ask("pools").get("data") or (), failing, models))
    yield from _safely("posture", lambda: posture_checks.posture(status))
    yield from _safely("apps", lambda: checks.matches(_running_config(), status))


def _without_daemon(socket: list[Finding], unreachable: str) -> Iterator[Finding]:
    """Report that no daemon runs, and what would prevent a start."""
    from meshd.cli.setup.diagnosis import checks

    barred = next((finding for finding in socket if finding.level == checks.PROBLEM), None)
    if barred is not None:  # one may run, but this user cannot reach it
        yield checks.Finding("daemon unreachable", checks.PROBLEM, barred.message, barred.advice)
        return
    for path in daemon.paths():
        if (holder := held_by(path)) is not None:
            advice = "; ".join(holder.advice)
            yield checks.Finding("daemon unreachable", checks.PROBLEM, f"{holder.says} ({path})", advice)
            if holder.runs:  # so the checks of a start below do not apply
                return
            break
    else:
        start = f"start it: {daemon.called('meshd')}"
        yield checks.Finding("daemon unreachable", checks.PROBLEM, unreachable.partition(";")[0], start)
    yield from _safely("keys", lambda: checks.keys(os.environ))
    config = None
    try:
        from meshd.cli.setup.configuration import at_hand

        config, _ = at_hand()
        faults = config.validate()
    except Exception as error:
        yield checks.Finding("configuration", checks.PROBLEM, str(error), "meshctl config validate")
        return
    for fault in faults:
        yield checks.Finding("configuration", checks.PROBLEM, str(fault), "fix it before meshd is started")
    socket_path = daemon.settings.socket or os.environ.get("MESH_SOCKET")
    yield from _safely("start", lambda: checks.start(config, socket_path, {str(fault) for fault in faults}))
    yield from _safely("keys", lambda: checks.placeholders(config, os.environ))
    yield from _safely("apps", lambda: checks.access(config))
    yield from _safely("disk", lambda: checks.state_directory(default_state_dir(), None))


def _running_config() -> Any:
    """The apps of the daemon's configuration. Its other sections have masked keys, so they cannot be checked."""
    from meshd.config import MeshConfig

    return MeshConfig.from_dict({"apps": (daemon.ask("config").get("config") or {}).get("apps") or {}})


def _providers() -> dict[str, Mapping[str, Any]]:
    return {str(row.get("name")): row for row in daemon.ask("providers").get("data") or ()}


def _safely(subject: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    from meshd.cli.setup.diagnosis.checks import PROBLEM, WARNING, Finding
    from modelmesh import AccessDeniedError

    try:
        yield from check()
    except (AccessDeniedError, PermissionError):
        yield Finding(subject, WARNING, "not checked: only the daemon's own user or an administrator may")
    except Exception as error:
        yield Finding(subject, PROBLEM, f"could not be checked: {error}")


def _status() -> tuple[Mapping[str, Any] | None, str]:
    from modelmesh import MeshError

    try:
        return daemon.ask("status"), ""
    except MeshError as error:
        return None, error.message


def _probed() -> list[dict[str, Any]]:
    return daemon.tell("probe", {"provider": None}, _PROBE_TIMEOUT, "the providers").get("data") or []


def weights_here() -> list[Any]:
    from meshd.pull.store import list_models

    return list_models()
