"""`meshctl reload`, `rotate`, `model activate|deactivate`, `probe`, `discover`, `drain`: commands to the daemon.

Must never: decide anything itself. Each command calls one operation of the daemon and prints its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from modelmesh.wording import counted

app = helping.Commands()
model_app = helping.Commands(cls=helping.Few, no_args_is_help=True, help="Take a model out of service, or put it back.")
app.add_typer(model_app, name="model", rich_help_panel=out.STEER)

PROBE_TIMEOUT = 120.0

ModelId = Annotated[str, typer.Argument(help="The model's id.", autocompletion=names.models, callback=names.given)]
Reason = Annotated[str, typer.Option(help="The reason, which is shown with the model.")]


@app.command(rich_help_panel=out.STEER)
def reload(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Read the configuration file again. Either all of it takes effect, or nothing.

    $ meshctl reload --dry-run
    """
    report = daemon.tell("reload", {"dry_run": dry_run})
    if as_json:
        out.print_json(report)
    elif report.get("ok"):
        changes = report.get("changes") or ()
        for change in changes:
            out.say(str(change))
        did = "would change" if dry_run else f"changed, generation {report.get('generation')}"
        took = f" in {out.seconds(report['duration'])}" if report.get("duration") else ""
        out.say(f"{len(changes)} {did}{took}" if changes else "nothing to change", out.GOOD)
    else:
        for problem in report.get("problems") or ():
            out.complain(daemon.problem_line(problem))
        out.complain("refused: the previous configuration stays in force")
    if not report.get("ok"):
        raise typer.Exit(daemon.REFUSED)


@app.command(rich_help_panel=out.STEER)
def rotate(
    pool: Annotated[str, typer.Argument(help="The pool.", autocompletion=names.pools, callback=names.given)],
    as_json: out.JsonOption = False,
) -> None:
    """Move a pool to its next model.

    $ meshctl rotate chat-completion
    """
    answer = daemon.tell("rotate", {"pool": pool})
    if as_json:
        out.print_json(answer)
    else:
        out.say(f"{answer.get('pool')}: {answer.get('from') or 'nothing'} → {answer.get('to') or 'nothing'}")


@model_app.command()
def activate(model_id: ModelId, reason: Reason = "", as_json: out.JsonOption = False) -> None:
    """Put a model back into service at once, whatever the reason it was set aside.

    $ meshctl model activate openai.gpt-5.4
    """
    _switch("activate", model_id, reason, as_json)


@model_app.command()
def deactivate(model_id: ModelId, reason: Reason = "", as_json: out.JsonOption = False) -> None:
    """Take a model out of service until `activate`, across restarts.

    $ meshctl model deactivate openai.gpt-5.4 --reason "too expensive today"
    """
    _switch("deactivate", model_id, reason, as_json)


def _switch(verb: str, model_id: str, reason: str, as_json: bool) -> None:
    answer = daemon.tell(f"models/{verb}", {"id": model_id, "reason": reason})
    if as_json:
        out.print_json(answer)
    else:
        why = f" ({answer['reason']})" if answer.get("reason") else ""
        out.say(f"{answer.get('id', model_id)} is {answer.get('status')}{why}")


@app.command(rich_help_panel=out.STEER)
def probe(
    provider: Annotated[
        str | None,
        typer.Argument(
            help="One provider; all of them by default.", autocompletion=names.providers, callback=names.given
        ),
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Check now whether providers answer. Exit code 1 if one does not.

    $ meshctl probe openai
    """
    answer = daemon.tell("probe", {"provider": provider}, PROBE_TIMEOUT, "the providers")
    found = answer.get("data") or []
    if as_json:
        out.print_json(answer)
    else:
        out.print_table(
            ["provider", "state", "took", "score", "error"],
            [
                [
                    row.get("provider"),
                    out.good(answers(row), "answers", _unlike(row)),
                    out.seconds(row.get("latency")),
                    f"{row['score']:.2f}" if isinstance(row.get("score"), int | float) else "",
                    row.get("error"),
                ]
                for row in found
            ],
            numbers=["took", "score"],
            empty="no providers to probe",
        )
    if not all(answers(row) or untold(row) for row in found):
        raise typer.Exit(daemon.REFUSED)


def answers(probed: Mapping[str, Any]) -> bool:
    """Whether a probe found that the provider answers."""
    return bool(probed.get("ok", probed.get("available")))


def untold(probed: Mapping[str, Any]) -> bool:
    """Whether a probe cannot tell, because the provider answers nothing free of charge."""
    return probed.get("kind") == "unsupported" and not probed.get("elsewhere")


@app.command(rich_help_panel=out.STEER)
def discover(as_json: out.JsonOption = False) -> None:
    """Look now for local servers and new models.

    $ meshctl discover
    """
    answer = daemon.tell("discover", {}, PROBE_TIMEOUT, "the providers")
    if as_json:
        out.print_json(answer)
        return
    out.print_table(
        ["provider", "models", "new", "gone", "error"],
        [
            [
                row.get("provider"),
                *(_listed(row.get(key)) for key in ("models", "new", "gone")),
                row.get("error"),
            ]
            for row in answer.get("data") or ()
        ],
        numbers=["models"],
        empty="nothing found",
    )


def _listed(value: object) -> str:
    """How many there are, and their names if they are few."""
    if not isinstance(value, list):
        return "" if value is None else str(value)
    return str(len(value)) if len(value) != 1 else str(value[0])


@app.command(rich_help_panel=out.STEER)
def drain(
    timeout: Annotated[
        float, typer.Option(min=0, max=86400, metavar="SECONDS", help="How long requests in flight may still take.")
    ] = 30.0,
    as_json: out.JsonOption = False,
) -> None:
    """Refuse new requests and wait for those in flight. Exit code 1 if some are left.

    $ meshctl drain --timeout 60 && systemctl stop meshd
    """
    answer = daemon.tell("drain", {"timeout": timeout}, timeout + daemon.COMMAND_TIMEOUT, "the requests in flight")
    left = answer.get("left") or 0
    if as_json:
        out.print_json(answer)
    elif answer.get("drained"):
        out.say("drained: no requests in flight, new ones are refused", out.GOOD)
    else:
        out.complain(f"{counted(left, 'request')} still in flight after {out.seconds(timeout)}")
    if not answer.get("drained"):
        raise typer.Exit(daemon.REFUSED)


def _unlike(row: Mapping[str, Any]) -> str:
    """What is wrong with a provider whose probe failed. A server that refuses a key does answer."""
    if row.get("kind") == "left_out":
        return "left out"
    if row.get("kind") == "authentication":
        return "key wanted" if row.get("keyed") is False else "key refused"
    if row.get("elsewhere"):
        return "wrong base_url"
    if untold(row):
        return "unknown"
    return "unreadable" if row.get("kind") == "bad_answer" else "away"
