"""`meshctl catalogue list|show|update|reset`: what is known about models, and their prices. It needs no daemon.

Must never: change a price that it has not shown, unless told to (`--yes`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.installing import how_to_install
from modelmesh.wording import counted, no_such

if TYPE_CHECKING:
    from meshd.catalogue.known import ModelRow
    from meshd.catalogue.overrides import Overrides
    from meshd.catalogue.price_list import PriceList
    from meshd.catalogue.refresh import Change

app = helping.Commands()
catalogue_app = helping.Commands(
    cls=helping.Few, no_args_is_help=True, help="Show the known models of providers, and their prices."
)
app.add_typer(catalogue_app, name="catalogue", rich_help_panel=out.SET_UP)

_MOST_SHOWN = 200  # changed prices

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="Data directory of another user's daemon, such as /var/lib/meshd.", metavar="PATH"),
]


def _providers(incomplete: str) -> list[str]:
    from meshd.catalogue.known import load_provider_rows

    return [row.id for row in load_provider_rows() if row.id.startswith(incomplete)]


@catalogue_app.command("list")
def list_models(
    provider: Annotated[
        str | None, typer.Argument(help="Its id, an alias, or its name.", metavar="PROVIDER", autocompletion=_providers)
    ] = None,
    directory: Directory = None,
    as_json: out.JsonOption = False,
) -> None:
    """List the providers of the catalogue; with one, its models and their prices in USD.

    $ meshctl catalogue list openai
    """
    from meshd.catalogue.known import load_provider_rows

    if provider is not None:
        found = [_described(row) for row in _models(provider, directory)]
        if as_json:
            out.print_json({"data": found})
            return
        columns = ["model", "capabilities", "context", "input", "output", "cached", "date", "retired on"]
        keys = ("input_per_1m", "output_per_1m", "cached_input_per_1m")
        cells = [
            [
                each["id"],
                each["capabilities"],
                out.compact(each["context_window"]) if each["context_window"] else "",
                *(out.get(each["prices"], key) or "" for key in keys),
                each["date"],
                each["retires"] or "",
            ]
            for each in found
        ]
        empty = "none here: the provider lists its models itself"
        out.print_table(columns, cells, numbers=("context", "input", "output", "cached"), empty=empty)
        return
    rows = [(row, _models(row.id, directory)) for row in load_provider_rows()]
    if as_json:
        out.print_json({"data": [{"id": row.id, "models": len(models)} for row, models in rows]})
        return
    out.print_table(
        ["provider", "models", "with prices", "newest"],
        [[row.id, len(them), sum(bool(model.prices) for model in them), _newest(them)] for row, them in rows],
        numbers=("models", "with prices"),
    )


@catalogue_app.command()
def show(
    provider: Annotated[
        str, typer.Argument(help="Its id, an alias, or its name.", metavar="PROVIDER", autocompletion=_providers)
    ],
    model: Annotated[str, typer.Argument(help="The model's id at the provider.", metavar="MODEL")],
    directory: Directory = None,
    as_json: out.JsonOption = False,
) -> None:
    """Show everything known about a model, with its source.

    $ meshctl catalogue show openai gpt-5.4-mini
    """
    models = {row.id: row for row in _models(provider, directory)}
    if model not in models:
        raise daemon.Misused(no_such("model", model, models))
    found = _described(models[model])
    out.print_json(found) if as_json else out.print_fields((name, value) for name, value in found.items() if value)


@catalogue_app.command()
def update(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download the newest list, instead of using the installed one.")
    ] = False,
    directory: Directory = None,
    as_json: out.JsonOption = False,
) -> None:
    """Adopt the prices of a public list, the package genai-prices, after showing the changes.

    They are kept in the data directory and apply from the next reload. `meshctl catalogue reset` removes them.

    $ meshctl catalogue update --dry-run
    $ sudo -u meshd meshctl catalogue update --dir /var/lib/meshd   # for the service
    """
    from meshd.catalogue import overrides
    from meshd.catalogue.refresh import refreshed

    before, prices = _kept(directory), _price_list(fetch=fetch)
    after, changes = refreshed(prices, before)
    if as_json and not (dry_run or yes):
        raise daemon.Misused("with --json, give --yes or --dry-run")
    if not as_json:
        _show_changes(changes, prices)
    written = None
    if changes and not dry_run:
        if not yes:
            typer.confirm("Use these prices?", abort=True, err=True)
        try:
            written = str(overrides.write(_base(directory), after))
        except OSError as error:
            raise daemon.Refused(f"the prices cannot be kept: {error}") from None
    if as_json:
        out.print_json(
            {"source": prices.source, "changes": [dict(each._asdict()) for each in changes], "file": written}
        )
    elif written:
        out.say(f"written: {written}", out.GOOD)
    if written:
        _reload(silent=as_json or directory is not None)


@catalogue_app.command()
def reset(directory: Directory = None, as_json: out.JsonOption = False) -> None:
    """Remove the prices that `update` has adopted; meshd's own apply again."""
    from meshd.catalogue import overrides

    file = overrides.place(_base(directory))
    try:
        file.unlink()
        removed = True
    except FileNotFoundError:
        removed = False
    except OSError as error:
        raise daemon.Refused(f"they cannot be removed: {error}") from None
    if as_json:
        out.print_json({"file": str(file), "removed": removed})
    elif removed:
        out.say(f"removed: {file}", out.GOOD)
    else:
        out.say("nothing to remove: no prices were adopted")
    if removed:
        _reload(silent=as_json or directory is not None)


def _base(directory: Path | None) -> Path:
    from meshd.pull.store import data_dir

    return directory or data_dir()


def _kept(directory: Path | None) -> Overrides:
    from meshd.catalogue import overrides

    try:
        return overrides.read(_base(directory))
    except ValueError as error:
        raise daemon.Refused(f"{error}; `meshctl catalogue reset` removes it") from None


def _models(provider: str, directory: Path | None) -> list[ModelRow]:
    from meshd.catalogue.known import load_models
    from meshd.connectors.registry import default_registry

    spec = default_registry().find(provider, "provider")
    if spec is None:
        raise daemon.Misused(no_such("provider", provider, _providers("")))
    kept = _kept(directory)
    return [kept.row(row, row.provider, row.id) or row for row in load_models(spec.id)]


def _price_list(*, fetch: bool) -> PriceList:
    try:
        from meshd.catalogue.price_list import PriceList

        return PriceList.fetched() if fetch else PriceList.installed()
    except ImportError:
        hint = how_to_install("catalogue")
        raise daemon.Refused(f"the list of prices needs the package genai-prices: {hint}") from None
    except OSError as error:
        raise daemon.Refused(str(error)) from None


def _show_changes(changes: list[Change], prices: PriceList) -> None:
    known = [each for each in changes if each.known]
    out.print_table(
        ["provider", "model", "price", "old", "new", "source"],
        [[each.provider, each.model, each.key, *_values(each), each.source] for each in known[:_MOST_SHOWN]],
        numbers=("old", "new"),
    )
    if len(known) > _MOST_SHOWN:
        out.say(f"and {len(known) - _MOST_SHOWN} more: --dry-run --json lists all", out.FAINT)
    others = {(each.provider, each.model) for each in changes if not each.known}
    if others:
        out.say(f"prices are added for {counted(len(others), 'model')} that the catalogue does not have")
    if not changes:
        out.say(f"nothing changes: the prices are those of {prices.source}")


def _values(change: Change) -> list[str]:
    return ["" if value is None else str(value) for value in (change.old, change.new)]


def _described(row: ModelRow) -> dict[str, Any]:
    from meshd.catalogue.retirements import retirement

    return {
        "provider": row.provider,
        "id": row.id,
        "capabilities": list(row.capabilities),
        "features": list(row.features),
        "context_window": row.context_window,
        "max_output_tokens": row.max_output_tokens,
        "prices": row.prices,
        "long_prompts": list(row.long_prompts),
        "tiers": row.tiers,
        "images": list(row.images),
        "source": row.source,
        "date": row.date,
        "retires": retirement(row.provider, row.id) or None,
    }


def _newest(models: list[ModelRow]) -> str:
    return max((model.date for model in models), default="")


def _reload(*, silent: bool) -> None:
    """Make a running daemon, if there is one, use them now."""
    from modelmesh import MeshError

    try:
        daemon.tell("reload", {})
    except (MeshError, OSError):
        if not silent:
            sys.stderr.flush()
            out.say("a daemon uses them after it starts, or after `meshctl reload`", out.FAINT)
