"""`meshctl explain`: which model would answer, why, and at what cost, without asking it.

Must never: send anything to a provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.cli.show.usage import budget as budgets
from meshd.operations.known import OPERATIONS, usual
from meshd.sdk.calls.operation import OperationSpec
from modelmesh.wording import counted, few

app = helping.Commands()

_WORD = "word "  # about one token


_CALLS = {each.word: each for each in OPERATIONS.values() if each.example}


def _call(word: str) -> OperationSpec:
    if word not in _CALLS:
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(map(repr, _CALLS))}")
    return _CALLS[word]


@app.command(rich_help_panel=out.LOOK)
def explain(
    model: Annotated[
        str,
        typer.Argument(
            help="A pool, capability or model, as an app would write it.",
            autocompletion=names.pools_and_models,
            callback=names.given,
        ),
    ],
    stream: Annotated[bool, typer.Option("--stream", help="The request asks for a stream.")] = False,
    tools: Annotated[bool, typer.Option("--tools", help="The request has tools.")] = False,
    image: Annotated[bool, typer.Option("--image", help="The request has an image.")] = False,
    tokens: Annotated[
        int, typer.Option(min=1, max=10_000_000, metavar="N", help="The prompt is about N tokens long.")
    ] = 1,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, max=100_000_000, metavar="N", help="The answer may be N tokens long.")
    ] = None,
    call: Annotated[
        OperationSpec | None,
        typer.Option(
            "--for",
            metavar="CALL",
            parser=_call,
            autocompletion=lambda: list(_CALLS),
            help=f"{', '.join(_CALLS)}. Default: the one that MODEL is for.",
        ),
    ] = None,
    as_app: Annotated[
        str | None,
        typer.Option("--app", help="Explain it for this app of the configuration.", autocompletion=names.apps),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="NAME", help="The session that it belongs to, for pools with sessions."),
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Show which model would be chosen and why, stage by stage. No provider is asked.

    For each model that could answer, it also shows what would be reserved for the request and how much room is left in
    its rate limits; then every limit that would apply, and whether the request would wait.

    $ meshctl explain chat-completion --tools --tokens 20000 --app mail
    """
    request = _request(model, call or _meant(model), stream=stream, tools=tools, image=image, tokens=tokens)
    if max_tokens is not None:
        request["max_tokens"] = max_tokens
    if as_app is not None:
        request["app"] = as_app
    if session is not None:  # given in both places where a pool's `session.key` may look
        request |= {"user": session, "headers": {"x-session-id": session}}
    found = daemon.tell("explain", request)
    if as_json:
        out.print_json(found)
    else:
        _show(found)
    if found.get("error"):
        raise typer.Exit(daemon.REFUSED)


def _meant(model: str) -> OperationSpec:
    """Judged by the capability in the name."""
    named = (each for each in _CALLS.values() if any(node.rpartition(".")[2] in model for node in each.capabilities))
    return next(named, usual())


def _request(
    model: str, operation: OperationSpec, *, stream: bool, tools: bool, image: bool, tokens: int
) -> dict[str, Any]:
    assert operation.example is not None, "it is not offered"
    text = (_WORD * tokens).strip()
    request: dict[str, Any] = {"model": model, "path": next(iter(operation.paths.values())), **operation.example(text)}
    if image and operation.conversation:
        pixel = {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}
        parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": pixel}]
        request[operation.text[0]] = [{"role": "user", "content": parts}]
    if stream:
        request["stream"] = True
    if tools:
        example = {"name": "example", "parameters": {"type": "object", "properties": {}}}
        request["tools"] = [{"type": "function", "function": example}]
    return request


def _show(found: Mapping[str, Any]) -> None:
    resolution = found.get("resolution") or {}
    if resolution:
        by = f", by the alias {resolution['alias']}" if resolution.get("alias") else ""
        what = f"{resolution.get('kind', 'name')} {resolution.get('name', '')}"
        out.say(f"{found.get('asked')} is the {what}{by}", out.HEAD)
    needs = found.get("needs") or {}
    out.print_fields(
        [
            ("pool", found.get("pool")),
            ("strategy", found.get("strategy")),
            ("asked by", _asker(found.get("app") or {})),
            (
                "the request needs",
                [_need(name, value) for name, value in needs.items() if value not in (None, False, 0, [], "")],
            ),
        ]
    )
    _show_stages(found)
    _show_candidates(found)
    if found.get("budgets"):
        out.say("limits that apply", out.HEAD)
        budgets.show(found["budgets"])
        out.say()
    _show_policies(found)
    _show_end(found)


def _show_stages(found: Mapping[str, Any]) -> None:
    """Up to the stage that leaves no model, since later ones have nothing to look at."""
    yes, no = ("✓", "✗") if out.on_terminal() else ("kept", "dropped")
    for stage in found.get("stages") or ():
        kept, dropped = stage.get("kept") or (), stage.get("dropped") or ()
        remarks = {remark.get("model"): remark.get("reason") for remark in stage.get("remarks") or ()}
        left = "" if kept else "; no model is left"
        out.say(f"{stage.get('name')}: {len(kept)} kept" + (f", {len(dropped)} dropped" if dropped else "") + left)
        for model in dropped:
            out.say(f"  {no} {model.get('model')}: {model.get('reason')}", out.BAD)
        for name in kept:
            out.say(f"  {yes} {name}" + (f": {remarks[name]}" if remarks.get(name) else ""), out.GOOD)
        if not kept:
            break


def _show_candidates(found: Mapping[str, Any]) -> None:
    """In the strategy's order, then those that a stage dropped."""
    rows = {str(row.get("model")): row for row in found.get("candidates") or ()}
    order = [name for name in found.get("order") or () if name in rows]
    out.say()
    out.print_table(
        ["candidate", "at most", "reserves tokens", "room", "blocked by"],
        [_candidate(rows[name]) for name in [*order, *(name for name in rows if name not in order)]],
        numbers=["at most", "room"],
    )
    if rows:
        out.say()
        _show_reservations(found, list(rows.values()))


def _show_reservations(found: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> None:
    """Why more tokens are reserved than the prompt has. Models with the same reasons share a line."""
    alike: dict[str, list[str]] = {}
    for way in ("in", "out"):
        for row in rows:
            reservation = row.get("reservation") or {}
            if why := (reservation.get("because") or {}).get(way):
                reserved = out.count(reservation.get(f"tokens_{way}"))
                alike.setdefault(f"{reserved} {way}: {why}", []).append(str(row.get("model")))
    if not alike:
        return
    tokens = out.get(found, "needs", "tokens")
    prompt = f"; the prompt has about {counted(tokens, 'token')}" if tokens else ""
    out.say(f"the most that the request can use is reserved{prompt}", out.HEAD)
    for why, models in list(alike.items())[:_MOST_REASONS]:
        out.say(f"  {few(models, _MOST_REASONS)}\n    {why}")
    out.say()


_MOST_REASONS = 10


def _candidate(row: Mapping[str, Any]) -> list[Any]:
    reservation, fraction = row.get("reservation") or {}, out.get(row, "headroom", "fraction")
    cost = out.usd(reservation.get("cost")) if row.get("priced", True) else ("no price", "yellow")
    room = f"{fraction:.0%}" if isinstance(fraction, int | float) else ""
    against = [str(reason.get("stage")) for reason in row.get("reasons") or ()]
    return [
        row.get("model"),
        cost,
        f"{out.compact(reservation.get('tokens_in'))}+{out.compact(reservation.get('tokens_out'))}",
        (room, out.BAD if fraction == 0 else ""),
        (", ".join(against), out.BAD),
    ]


def _show_policies(found: Mapping[str, Any]) -> None:
    fallbacks = [f"{row.get('pool')} ({row.get('chosen') or 'no model'})" for row in found.get("fallbacks") or ()]
    hedge, cache = found.get("hedge"), found.get("cache")
    out.print_fields(
        [
            ("fallback pools", fallbacks),
            ("second model", _hedge(hedge) if hedge else None),
            ("cached", _cached(cache) if cache else None),
        ]
    )


def _hedge(hedge: Mapping[str, Any]) -> str:
    """When a second model is asked. `after` is known once the model has answered; a rule in seconds does not need
    it."""
    rule = hedge.get("rule")
    after = hedge.get("after") if isinstance(rule, str) else rule
    if after is None:
        return f"after its {rule} without an answer, once that is known"
    return f"after {out.seconds(after)} without an answer"


def _cached(cache: Mapping[str, Any]) -> str:
    if not cache.get("applies"):
        return "not this request: its answer may vary"
    if cache.get("age") is not None:
        return f"yes: it would get the answer of {out.seconds(cache['age'])} ago, and no model would be called"
    return f"for {out.seconds(cache.get('ttl'))} within the same {cache.get('scope')}"


def _show_end(found: Mapping[str, Any]) -> None:
    queue = found.get("queue") or {}
    if error := found.get("error"):
        sentence, newline, details = str(error.get("message")).partition("\n")
        out.say(f"refused: {sentence} ({error.get('code')}){newline}{details}", out.BAD)
    elif queue.get("would_wait"):
        room = out.seconds(queue.get("frees_in"))
        when = f"room in about {room}" if room else "until another request ends"
        out.say(f"would wait: {when}, with {queue.get('waiting') or 0} waiting already", "yellow")
    else:
        out.say(f"chosen: {found.get('chosen')}", out.HEAD)
        if rest := [name for name in found.get("order") or () if name != found.get("chosen")]:
            out.say(f"then: {', '.join(rest)}")


def _asker(app: Mapping[str, Any]) -> str:
    name, account = app.get("name"), app.get("account")
    return f"{name}, by the rules of {account}" if account and account != name else str(name or "")


def _need(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
