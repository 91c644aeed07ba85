"""`meshctl events`: past events and, with `--follow`, new ones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.core.events.event_type import EventType
from meshd.core.seconds import from_nanos
from meshd.core.text.durations import format_duration
from meshd.host.plain_text import one_line
from modelmesh.wording import no_such

app = helping.Commands()

TYPES = tuple(EventType)
_STYLES = {"debug": out.FAINT, "warning": "yellow", "error": out.BAD, "critical": out.BAD}


def _types(incomplete: str) -> list[str]:
    return [name for name in TYPES if name.startswith(incomplete)]


@app.command(rich_help_panel=out.LOOK)
def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new events, until Ctrl-C.")] = False,
    type: Annotated[
        list[str] | None, typer.Option(help="Only events of this type; may be repeated.", autocompletion=_types)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="At most N past events.")] = 50,
    as_json: out.JsonOption = False,
) -> None:
    """Show what the daemon noticed: rotations, failures, reloads, restarts. With --follow --json, one event per line.

    $ meshctl events --follow --type model_deactivated --type model_activated
    """
    wanted = set(type or ())
    if unknown := wanted - set(TYPES):
        raise daemon.Misused(no_such("event", sorted(unknown)[0], TYPES, most=len(TYPES)))
    with daemon.Daemon() as line:
        past = _past(line, wanted, limit)
        if not follow:
            _print_all(past, as_json)
            return
        _follow(line, past, wanted, as_json)


def _past(line: daemon.Daemon, wanted: set[str], limit: int) -> list[dict[str, Any]]:
    """The last `limit` events of the wanted types, oldest first."""
    single = next(iter(wanted)) if len(wanted) == 1 else None
    if limit == 0:
        return []
    found = line.get("events", limit=limit, type=single).get("data") or []
    kept = [event for event in found if not wanted or event.get("type") in wanted]
    return sorted(kept, key=lambda event: event.get("at_ns") or 0)[-limit:]


def _print_all(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        out.print_json({"data": found})
    elif not found:
        out.say("no events yet", out.FAINT)
    else:
        for event in found:
            _print(event)


def _follow(line: daemon.Daemon, past: list[dict[str, Any]], wanted: set[str], as_json: bool) -> None:
    show = out.print_json_line if as_json else _print
    for event in past:
        show(event)
    newest = max((event.get("at_ns") or 0 for event in past), default=0)
    for event in line.events():
        told = event.get("type") in wanted if wanted else event.get("severity") != "debug"
        if told and (event.get("at_ns") or 0) > newest:
            show(event)


def _shown(name: str, value: Any) -> Any:
    """A value as text for people: durations with units, moments as times of day, lists without brackets."""
    if isinstance(value, list):
        return "; ".join(str(_shown("", each)) for each in value)
    if isinstance(value, dict):
        said = value.get("message") or value.get("summary")
        return said or ", ".join(f"{key} {_shown(key, each)}" for key, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return value
    if name in ("until", "resets_at"):
        return _moment(value)
    if name in ("latency", "duration") or name.endswith("_time"):
        return out.seconds(value)
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"


def _moment(value: float) -> str:
    at = datetime.fromtimestamp(value)
    return at.strftime("%H:%M:%S" if at.date() == datetime.now().date() else "%Y-%m-%d %H:%M:%S")


def _changes(event: dict[str, Any], at: float) -> str:
    """What follows the reason: how long it lasts, and what has changed."""
    changed = {name: value for name, value in (event.get("changed") or {}).items() if value}
    reason = str(event.get("reason") or "")
    if reason and event.get("type") in (EventType.CONFIG_RELOADED, EventType.CONFIG_REJECTED):
        return ""  # the reason lists them
    if event.get("type") == EventType.MODEL_ROTATED and not event.get("cause"):
        return ""  # the reason names both
    until = changed.pop("until", None)
    parts = [f"{name}: {_shown(name, value)}" for name, value in changed.items()]
    if isinstance(until, int | float):
        parts[:0] = [*([f"for {format_duration(until - at)}"] if at else []), f"until {_moment(until)}"]
    return f"({', '.join(parts)})" if parts else ""


def _print(event: dict[str, Any]) -> None:
    import sys

    at = from_nanos(event.get("at_ns") or 0)
    ids = " ".join(f"{name}={value}" for name, value in (event.get("ids") or {}).items())
    parts = [
        datetime.fromtimestamp(at).strftime("%H:%M:%S"),
        str(event.get("type")),
        ids,
        str(event.get("reason") or ""),
        _changes(event, at),
    ]
    out.say("  ".join(one_line(part) for part in parts if part), _STYLES.get(str(event.get("severity"))))
    sys.stdout.flush()
