"""`meshctl clients`: the processes that are connected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out

app = helping.Commands()

_KERNELS = "The kernel reports pid, user, program and unit. “…” is what a program calls itself; no rule depends on it."


@app.command(rich_help_panel=out.LOOK)
def clients(as_json: out.JsonOption = False) -> None:
    """Show connected processes, how long they have been connected, and their requests. Only administrators see those
    of other users.

    The kernel reports pid, user, program and unit. A name in “…” is what a program calls itself: the script or module
    that an interpreter runs.

    $ meshctl clients --json | jq '.data[] | {pid, program, cost}'
    """
    answer = daemon.ask("clients")
    if as_json:
        out.print_json(answer)
        return
    found = answer.get("data") or []
    out.print_table(
        ["pid", "user", "program", "unit", "since", "in flight", "requests", "spent"],
        [
            [
                entry.get("pid"),
                entry.get("user"),
                _program(entry),
                entry.get("unit"),
                out.ago(entry.get("since")).removesuffix(" ago"),
                entry.get("in_flight") or "",
                out.count(entry.get("requests") or 0),
                out.usd(entry.get("cost") or 0),
            ]
            for entry in found
        ],
        numbers=["pid", "in flight", "requests", "spent"],
        empty="nothing is connected",
    )
    if out.on_terminal() and any(_own_word(entry) for entry in found):
        out.say(_KERNELS, out.FAINT)


def _program(entry: Mapping[str, Any]) -> str:
    """`python3.11 “digest.py”`: the program, as the kernel reports it, and its script, as the process claims."""
    exe = str(entry.get("program") or "").rpartition("/")[2]
    own = _own_word(entry)
    if not exe:  # another user's process, whose program the daemon cannot see
        return f"“{own or entry.get('name')}”"
    return f"{exe} “{own}”" if own else exe


def _own_word(entry: Mapping[str, Any]) -> str:
    return str(out.get(entry, "says", "script") or "")
