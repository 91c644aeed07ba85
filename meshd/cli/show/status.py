"""`meshctl status`: the daemon at a glance, on one screen; what is wrong comes first.

Must never: change anything in the daemon.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import cells
from meshd.cli.screen import output as out
from meshd.cli.show.standings import availability, failing, notes, of_its_key
from meshd.host.plain_text import harmless, one_line
from modelmesh.wording import counted

app = helping.Commands()

_SCREEN = 24  # lines, the last of which is the shell's prompt
_WRONG = 6  # lines for what is wrong
_LEAST = 3  # lines of the smallest useful table: its header, a row, and how many more there are


@app.command(rich_help_panel=out.LOOK)
def status(
    everything: Annotated[
        bool, typer.Option("--all", help="Show everything: every pool, provider, actor and note.")
    ] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Show the daemon on one screen: what is wrong, requests, today's spend, the first pools and providers.

    $ meshctl status --all
    $ meshctl status --json | jq .spend_today
    """
    found = daemon.ask("status")
    if as_json:
        out.print_json(found)
        return
    if everything:
        _in_full(found)
        return
    lines = [*_wrong(found, _WRONG), *_fields(found)]
    title = _title(found)
    out.print_lines([*title, *lines, *_tables(found, _height() - len(lines) - len(title))])


def _height() -> int:
    lines = shutil.get_terminal_size((80, _SCREEN)).lines if out.on_terminal() else _SCREEN
    return max(lines, _SCREEN) - 1


def _in_full(found: Mapping[str, Any]) -> None:
    out.print_lines([*_title(found), *_wrong(found, None), *_fields(found)])
    for lines in (_pools(found, None), _providers(found, None), _actors(found), _sinks(found)):
        if lines:
            out.say()
            out.print_lines(lines)


def _title(found: Mapping[str, Any]) -> list[out.Line]:
    """One line; two where the terminal is narrow."""
    form = " (compiled)" if found.get("compiled") else ""
    up = f"meshd {found.get('version', '?')}{form}, up {out.seconds(found.get('uptime'))}"
    if found.get("pid"):
        up += f", process {found['pid']}"
    wrong = list(troubles(found))
    if not wrong:
        return [[(up, out.HEAD)]]
    told = f"{counted(len(wrong), 'thing')} to look at"
    if out.on_terminal() and len(up) + 2 + len(told) > shutil.get_terminal_size().columns:
        return [[(up, out.HEAD)], [(told, "yellow")]]
    return [[(up, out.HEAD), (f": {told}", "yellow")]]


# -- what is wrong --------------------------------------------------------------------------------------


def troubles(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(what is wrong, its style), the worst first, each once."""
    if found.get("draining"):
        yield "draining: new requests are refused", out.BAD
    for lack in found.get("lacks") or ():
        yield str(lack), out.BAD
    state = found.get("state") or {}
    if not state.get("ok", True):
        yield f"state: {state.get('error') or 'not writable'} ({state.get('directory')}): still serving", out.BAD
    if wrong := str(out.get(state, "remote", "error") or ""):
        yield f"storage: {wrong}; the state directory has everything, and it is copied later", out.BAD
    journal = str(out.get(found, "journal", "error") or "")
    if journal and state.get("ok", True):
        yield f"spend journal: {journal}: still serving", out.BAD
    report = found.get("last_reload") or {}
    if report and not report.get("ok"):
        for problem in report.get("problems") or ():
            yield f"configuration refused: {daemon.problem_line(problem)}", out.BAD
    for actor in found.get("actors") or ():
        if not actor.get("alive", True):
            yield f"actor {actor.get('name')} is dead: {actor.get('last_error')}".rstrip(": "), out.BAD
    for provider in found.get("providers") or ():
        said, style = availability(provider)
        if style and style != out.GOOD:
            yield f"provider {provider.get('name')}{_about(provider, said)}", style
    told = {row.get("name") for row in found.get("providers") or () if availability(row)[1] != out.GOOD}
    for model in found.get("failing") or ():
        if model.get("provider") not in told:  # otherwise the provider's line says why
            yield f"model {model.get('id')}: {failing(model)}", out.BAD
    if found.get("pools") == []:
        yield "no model was found, so nothing can be asked; see meshctl doctor", out.BAD
    idle = [str(pool.get("name")) for pool in found.get("pools") or () if not pool.get("active")]
    if idle:
        yield f"no model is active in {', '.join(idle)}", out.BAD
    secrets = found.get("secrets") or {}
    for store in secrets.get("stores") or ():
        if store.get("error"):
            yield f"secrets: {store['error']}; it will be asked again, known values stay in use", out.BAD
    for name, why in (secrets.get("kept") or {}).items():
        yield f"secret {name} cannot be read again, so its known value stays in use: {why}", "yellow"
    for sink in found.get("sinks") or ():
        if sink.get("error"):
            yield f"log {sink.get('sink')}: {sink['error']}", out.BAD
        if sink.get("dropped"):
            yield f"log {sink.get('sink')}: {counted(sink['dropped'], 'entry was', 'entries were')} dropped", "yellow"
    for note in notes(found):
        yield f"note: {note}", "yellow"


def _about(provider: Mapping[str, Any], said: str) -> str:
    """What follows a provider's name. A reason that is complete by itself needs no state before it."""
    reason = str(provider.get("reason") or "")
    if said == "wrong base_url":
        return f": nothing is at its base_url {provider.get('base_url')}: every request gets a 404"
    if said.startswith("key "):
        return ": " + ": ".join(filter(None, of_its_key(provider)))
    if said == "away" and reason:
        return f": {reason}"
    return f" is {said}: {reason}".rstrip(": ")


def _wrong(found: Mapping[str, Any], most: int | None) -> list[out.Line]:
    lines: list[out.Line] = []
    told = list(troubles(found))
    for at, (text, style) in enumerate(told):
        parts = _trouble(text, most is None)
        last = at == len(told) - 1
        if most is not None and len(lines) + len(parts) > most - (0 if last else 1):
            lines.append([(f"  and {len(told) - at} more: meshctl status --all", out.FAINT)])
            break
        lines += [[("! " if number == 0 else "  ", style), (part, style)] for number, part in enumerate(parts)]
    return lines


def _trouble(text: str, whole: bool) -> list[str]:
    """At most two lines, unless --all is given."""
    if not out.on_terminal():
        return [one_line(text)]
    width = out.console().width - 2
    parts = cells.wrapped(one_line(text) if not whole else harmless(text), width)
    return parts if whole or len(parts) <= 2 else [parts[0], cells.clipped(" ".join(parts[1:]), width)]


# -- state ------------------------------------------------------------------------------------------------


def _fields(found: Mapping[str, Any]) -> list[out.Line]:
    config = found.get("config") or {}
    state = found.get("state") or {}
    return out.field_lines(
        [
            ("socket", _addresses(found.get("sockets") or ())),
            *_further("listens at", found.get("listen") or {}),
            *_further("HTTP", found.get("http") or {}),
            ("configuration", f"{config.get('source') or 'built-in'}, generation {config.get('generation', '?')}"),
            ("last reload", _reload(found.get("last_reload"))),
            ("state", state.get("directory")),
            ("copied to", _copied(state)),
            ("serves", _serves(found)),
            ("requests", _requests(found.get("requests") or {}, found)),
            ("spent today", out.usd(found.get("spend_today"))),
            ("malformed", (out.count(found.get("malformed")), out.BAD) if found.get("malformed") else None),
        ]
    )


def _copied(state: Mapping[str, Any]) -> str | None:
    """The remote storage, if there is one, and what it lacks."""
    remote = state.get("remote") or {}
    if not remote:
        return None
    waits = f", {counted(remote['pending'], 'change waits', 'changes wait')}" if remote.get("error") else ""
    return f"{state.get('connector')}{' with other daemons' if remote.get('shared') else ''}{waits}"


def _addresses(sockets: Iterable[str]) -> list[str]:
    """The addresses that other processes can reach, as paths."""
    return [address.removeprefix("ipc://") for address in sockets if not address.startswith("inproc://")]


def _further(what: str, places: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if places.get("addresses"):
        yield what, _addresses(places["addresses"])
    if places.get("curve_key"):
        yield "its key", places["curve_key"]
    for problem in places.get("problems") or ():
        yield "not listening", (str(problem), out.BAD)


def _serves(found: Mapping[str, Any]) -> str:
    pools, providers = len(found.get("pools") or ()), found.get("providers") or ()
    there = sum(availability(provider)[1] == out.GOOD for provider in providers)
    return f"{counted(pools, 'pool')} by {there} of {counted(len(providers), 'provider')}"


def _requests(requests: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    failed = requests.get("failed") or 0
    parts = [out.count(requests.get("total") or 0), f"{out.count(found.get('in_flight') or 0)} in flight"]
    if failed:
        parts.insert(1, f"{out.count(failed)} failed")
    if found.get("peers") is not None:
        peers = found["peers"]
        parts.append(f"{counted(peers, 'client')} connected")
    return ", ".join(parts)


def _reload(report: Mapping[str, Any] | None) -> Any:
    """The last reload; the first one is the start, which `up` shows."""
    if not report or (report.get("ok") and report.get("generation") == 1):
        return None
    changes = report.get("changes") or ()
    said = counted(len(changes), "change") if changes else "nothing changed"
    return f"{said if report.get('ok') else 'refused'}, {out.ago(report.get('at'))}".rstrip(", ")


def _tables(found: Mapping[str, Any], room: int) -> list[out.Line]:
    """As many pools and providers as the screen has room for; each table gets the lines that the other does not
    need."""
    room -= 2  # a blank line before each
    needed = len(_pools(found, None)), len(_providers(found, None))
    pools = _pools(found, max(min(needed[0], room - min(needed[1], room // 2)), _LEAST))
    providers = _providers(found, max(room - len(pools), _LEAST))
    return [[], *pools, [], *providers] if providers else [[], *pools]


def _cut(
    head: Sequence[str], rows: list[list[Any]], numbers: Sequence[str], most: int | None, more: str
) -> list[out.Line]:
    """A table of as many rows as fit into so many lines."""
    for count in range(len(rows), 0, -1):
        lines = out.table_lines(head, rows[:count], numbers=numbers)
        hidden = len(rows) - count
        if most is None or len(lines) + bool(hidden) <= most:
            return [*lines, [(f"and {hidden} more: {more}", out.FAINT)]] if hidden else lines
    return [[(f"and {len(rows)} more: {more}", out.FAINT)]] if rows else []


def _pools(found: Mapping[str, Any], most: int | None) -> list[out.Line]:
    pools = sorted(found.get("pools") or (), key=lambda pool: bool(pool.get("active")))
    if not pools:
        return [[("no pools: no model was found; meshctl pull smollm2-135m, or set a key", out.FAINT)]]
    rows = [
        [
            pool.get("name"),
            (pool.get("active", 0), out.GOOD if pool.get("active") else out.BAD),
            pool.get("standby", 0),
            pool.get("current"),
        ]
        for pool in pools
    ]
    return _cut(["pool", "active", "standby", "now"], rows, ["active", "standby"], most, "meshctl pools")


def _providers(found: Mapping[str, Any], most: int | None) -> list[out.Line]:
    providers = sorted(found.get("providers") or (), key=lambda each: availability(each)[1] == out.GOOD)
    rows = [
        [
            provider.get("name"),
            availability(provider),
            provider.get("key"),
            f"{provider['score']:.2f}" if isinstance(provider.get("score"), int | float) else "",
            models if isinstance(models := provider.get("models", ""), int) else len(models or ()),
        ]
        for provider in providers
    ]
    return _cut(["provider", "state", "key", "score", "models"], rows, ["score", "models"], most, "meshctl providers")


def _actors(found: Mapping[str, Any]) -> list[out.Line]:
    rows = [
        [
            actor.get("name"),
            out.good(actor.get("alive"), "alive", "dead"),
            actor.get("restarts", 0),
            actor.get("last_error"),
        ]
        for actor in found.get("actors") or ()
    ]
    return out.table_lines(["actor", "state", "restarts", "last error"], rows, numbers=["restarts"]) if rows else []


def _sinks(found: Mapping[str, Any]) -> list[out.Line]:
    rows = [
        [
            sink.get("sink"),
            out.count(sink.get("written")),
            out.count(sink.get("waiting")),
            out.count(sink.get("dropped")),
            sink.get("error"),
        ]
        for sink in found.get("sinks") or ()
    ]
    numbers = ["written", "waiting", "dropped"]
    return out.table_lines(["log", *numbers, "error"], rows, numbers=numbers) if rows else []
