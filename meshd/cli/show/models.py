"""`meshctl models`: a table of all, or one in detail.

Must never: change anything in the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.cli.show.standings import failing, percent, show_limits, status, the_one

app = helping.Commands()

ModelId = Annotated[
    str | None, typer.Argument(help="One model, in detail.", autocompletion=names.models, callback=names.given)
]


@app.command(rich_help_panel=out.LOOK)
def models(model_id: ModelId = None, as_json: out.JsonOption = False) -> None:
    """Show every model: its provider, its state, and its requests so far.

    $ meshctl models openai.gpt-5.4
    """
    answer = daemon.ask("models", id=model_id)
    found = answer.get("data") or []
    if as_json:
        out.print_json(the_one(found, model_id) if model_id is not None else answer)
        return
    if model_id is not None:
        _model(the_one(found, model_id))
        return
    out.print_table(
        ["model", "provider", "state", "requests", "failures", "p50", "cost", "reason"],
        [
            [
                model.get("id"),
                model.get("provider"),
                status(model),
                out.count(model.get("requests")),
                out.count(model.get("failures")),
                out.seconds(out.get(model, "latency", "p50")),
                out.usd(model.get("cost")),
                model.get("reason") or failing(model) or _ends(model),
            ]
            for model in found
        ],
        numbers=["requests", "failures", "p50", "cost"],
        empty="no models: meshctl pull smollm2-135m, or set a provider's key",
    )


def _model(model: Mapping[str, Any]) -> None:
    out.say(str(model.get("id")), out.HEAD)
    features = model.get("features") or {}
    if isinstance(features, Mapping):
        features = [name for name, has in features.items() if has]
    out.print_fields(
        [
            ("provider", model.get("provider")),
            ("provider's name", model.get("model")),
            ("state", status(model)),
            ("reason", model.get("reason") or failing(model)),
            ("retired on", model.get("retires")),
            ("capabilities", model.get("capabilities")),
            ("features", features),
            ("pools", model.get("pools")),
            ("context window", out.count(model.get("context_window"))),
            ("max output", out.count(model.get("max_output_tokens"))),
            ("in flight", model.get("in_flight")),
            ("requests", f"{out.count(model.get('requests') or 0)}, {out.count(model.get('failures') or 0)} failed"),
            ("failing recently", percent(model.get("error_rate"))),
            ("tokens", f"{out.count(model.get('tokens_in') or 0)} in, {out.count(model.get('tokens_out') or 0)} out"),
            ("cost", out.usd(model.get("cost"))),
            ("room", _headroom(model.get("headroom"))),
            ("latency", _spread(model.get("latency"))),
            ("first token", _spread(model.get("first_token"))),
            ("last request", out.ago(model.get("last_request"))),
            ("last failure", out.ago(model.get("last_failure"))),
        ]
    )
    show_limits(model)


def _ends(model: Mapping[str, Any]) -> str:
    return f"to be retired on {model['retires']}" if model.get("retires") else ""


def _headroom(headroom: Any) -> str:
    """`42 %, 12 requests, 3.4k tokens`; empty without a limit."""
    if not isinstance(headroom, Mapping) or headroom.get("fraction") in (None, 1.0):
        return ""
    parts = [f"{percent(headroom['fraction'])} of its rate limits"]
    parts += [f"{out.compact(headroom[key])} {key}" for key in ("requests", "tokens") if headroom.get(key) is not None]
    return ", ".join(parts)


def _spread(figures: Any) -> str:
    if not isinstance(figures, Mapping):
        return ""
    named = [
        (name, out.seconds(figures.get(key))) for name, key in (("p50", "p50"), ("p95", "p95"), ("average", "average"))
    ]
    return ", ".join(f"{name} {value}" for name, value in named if value)
