"""`meshctl status`: the daemon at a glance.

Must never: change anything in the daemon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import typer

from meshd.cli import daemon
from meshd.cli import output as out

app = typer.Typer()


@app.command(rich_help_panel=out.LOOK)
def status(as_json: out.JsonOption = False) -> None:
    """Version, uptime, providers, pools, actors, the last reload, today's spend.

    [dim]meshctl status --json | jq .spend_today[/dim]
    """
    found = daemon.ask("status")
    if as_json:
        out.print_json(found)
        return
    _overview(found)
    _pools(found)
    _providers(found)
    _actors(found)
    for note in found.get("notes") or ():
        out.say(f"note: {note}", "yellow")


def _overview(found: Mapping[str, Any]) -> None:
    out.say(f"meshd {found.get('version', '?')}, up {out.seconds(found.get('uptime'))}", out.HEAD)
    state = found.get("state") or {}
    config = found.get("config") or {}
    requests = found.get("requests") or {}
    out.print_fields(
        [
            ("socket", _addresses(found.get("sockets") or ())),
            ("process", found.get("pid")),
            ("configuration", f"{config.get('source') or 'built-in'}, generation {config.get('generation', '?')}"),
            ("last reload", _reload(found.get("last_reload"))),
            ("state", _state(state)),
            ("requests", _requests(requests, found)),
            ("spent today", out.usd(found.get("spend_today"))),
            ("malformed", (out.count(found.get("malformed")), out.BAD) if found.get("malformed") else None),
            ("draining", ("yes: new requests are refused", out.BAD) if found.get("draining") else None),
        ]
    )


def _addresses(sockets: Iterable[str]) -> list[str]:
    """Those that other processes can reach, as paths."""
    return [address.removeprefix("ipc://") for address in sockets if not address.startswith("inproc://")]


def _state(state: Mapping[str, Any]) -> Any:
    if state.get("ok", True):
        return state.get("directory")
    return f"{state.get('error') or 'not writable'} ({state.get('directory')}): serving on", out.BAD


def _requests(requests: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    failed = requests.get("failed") or 0
    parts = [out.count(requests.get("total") or 0), f"{out.count(found.get('in_flight') or 0)} in flight"]
    if failed:
        parts.insert(1, f"{out.count(failed)} failed")
    if found.get("peers") is not None:
        peers = found["peers"]
        parts.append(f"{out.count(peers)} client{'s' if peers != 1 else ''} connected")
    return ", ".join(parts)


def _reload(report: Mapping[str, Any] | None) -> Any:
    if not report:
        return None
    problems = report.get("problems") or ()
    if report.get("ok"):
        changes = report.get("changes") or ()
        said = f"{len(changes)} change{'s' if len(changes) != 1 else ''}" if changes else "nothing changed"
        return f"{said}, {out.ago(report.get('at'))}".rstrip(", ")
    lines = [f"refused {out.ago(report.get('at'))}".rstrip(), *map(daemon.problem_line, problems)]
    return "\n".join(lines), out.BAD


def _pools(found: Mapping[str, Any]) -> None:
    out.say()
    out.print_table(
        ["pool", "active", "standby"],
        [
            [
                pool.get("name"),
                (pool.get("active", 0), out.GOOD if pool.get("active") else out.BAD),
                pool.get("standby", 0),
            ]
            for pool in found.get("pools") or ()
        ],
        numbers=["active", "standby"],
        empty="no pools: no model was found (meshctl pull smollm2-135m, or set a provider's key)",
    )


def _providers(found: Mapping[str, Any]) -> None:
    if found.get("providers"):
        out.say()
    out.print_table(
        ["provider", "", "score", "models", "reason"],
        [
            [
                provider.get("name"),
                out.good(provider.get("available"), "available", "away"),
                f"{provider['score']:.2f}" if isinstance(provider.get("score"), int | float) else "",
                models if isinstance(models := provider.get("models", ""), int) else len(models or ()),
                provider.get("reason"),
            ]
            for provider in found.get("providers") or ()
        ],
        numbers=["score", "models"],
    )


def _actors(found: Mapping[str, Any]) -> None:
    if found.get("actors"):
        out.say()
    out.print_table(
        ["actor", "", "restarts", "last error"],
        [
            [
                actor.get("name"),
                out.good(actor.get("alive"), "alive", "dead"),
                actor.get("restarts", 0),
                actor.get("last_error"),
            ]
            for actor in found.get("actors") or ()
        ],
        numbers=["restarts"],
    )
