"""`meshctl secrets`: shows and changes what is in the secret stores. It opens the stores itself, as the user who runs
it; a running daemon is notified, and checks new keys.

Must never: print a value that was not asked for by name, or take one as an argument, which other users could see.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.cli.setup.secrets.given import require_name, secrets_of, value_of
from meshd.cli.setup.secrets.opened import Held, Opened, Unasked, opened
from meshd.cli.setup.secrets.told import refusals, tell
from meshd.host.plain_text import one_line

if TYPE_CHECKING:
    from meshd.config import MeshConfig
    from meshd.sdk.secrets import SecretStore

app = helping.Commands()
secrets_app = helping.Commands(cls=helping.Few, no_args_is_help=True, help="List, set, replace and delete secrets.")
app.add_typer(secrets_app, name="secrets", rich_help_panel=out.SET_UP)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret's name, as in ${secrets:NAME}.")]
Store = Annotated[
    str | None,
    typer.Option("--store", metavar="ID", help="Which of the configured stores. Default: the first that fits."),
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Default: the file that the daemon would read.")
]


@secrets_app.command("list")
def list_(store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Show the secrets' names: where each is, and which providers use it. Exit code 1 if one that is used is missing.

    $ meshctl secrets list
    """
    with opened(config) as mesh:
        rows, remarks = _listed(mesh, store)
    if as_json:
        out.print_json({"data": rows, "remarks": remarks})
    else:
        out.print_table(
            ["secret", "store", "used by"],
            [[row["name"], row["store"] or ("missing", out.BAD), ", ".join(row["used_by"])] for row in rows],
            empty="" if remarks else "no secrets",
        )
        for remark in remarks:
            out.complain(one_line(remark))
    if not all(row["store"] for row in rows):
        raise typer.Exit(daemon.REFUSED)


def _listed(mesh: Opened, store: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows, the errors of stores that could not be asked)."""
    used = _used_by(mesh.config)
    where: dict[str, str] = {}
    remarks = list(mesh.problems)
    for id, each in mesh.chosen(store):
        if each is not None:
            names, errors = _names_in(each, used.keys() - where.keys())
            remarks += errors
            where = {**dict.fromkeys(names, id), **where}
    names = sorted({*where, *used})
    rows = [{"name": name, "store": where.get(name), "used_by": used.get(name, [])} for name in names]
    return rows, list(dict.fromkeys(remarks))


def _names_in(store: SecretStore, wanted: set[str]) -> tuple[list[str], list[str]]:
    """(those that it lists, and those of the wanted ones that it has; its errors)."""
    from meshd.connectors.secrets.env import EnvStore
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    found, errors = list[str](), list[str]()
    try:
        if not isinstance(store, EnvStore):  # most of the environment is not secret
            found = store.list()
    except (SecretMissing, SecretStoreError) as error:
        errors.append(str(error))
    for name in sorted(wanted.difference(found)):
        try:
            store.get(name)
            found.append(name)
        except SecretMissing:
            continue
        except SecretStoreError as error:
            errors.append(str(error))
    return found, errors


def _used_by(config: MeshConfig) -> dict[str, list[str]]:
    """Secret → the providers that use it, or the keys of other sections."""
    return {
        name: sorted({str(path[1]) if path[0] == "providers" else str(path[0]) for path in paths})
        for name, paths in config.secret_paths().items()
    }


def _providers_of(config: MeshConfig, name: str) -> list[str]:
    """The providers that use the secret."""
    return sorted({str(path[1]) for path in config.secret_paths().get(name, ()) if path[0] == "providers"})


@secrets_app.command()
def get(name: Name, store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Print a secret's value.

    $ meshctl secrets get OPENAI_API_KEY | wl-copy
    """
    require_name(name)
    with opened(config) as mesh:
        held = mesh.holder(name, store)
    if as_json:
        out.print_json({"name": name, "store": held.id, "value": held.value})
    else:
        out.write(f"{held.value}\n")


@secrets_app.command("set")
def set_(name: Name, store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Write a secret: its value is asked for, or comes from a pipe. A running daemon uses it at once.

    $ meshctl secrets set OPENAI_API_KEY
    $ pass show openai | meshctl secrets set OPENAI_API_KEY
    """
    require_name(name)
    with opened(config) as mesh:
        id, target = mesh.writable(store)
        written = Held(name, id, target, value_of(name))
        target.set(name, written.value)
        if remark := _not_used(mesh, written):
            out.complain(remark)
    _wrote(written, tell(mesh), as_json)


def _not_used(mesh: Opened, written: Held) -> str:
    """Why another value than the written one is used, "" if that one is."""
    name, id = written.name, written.id
    try:
        held = mesh.holder(name, None)
    except Unasked as error:
        if error.id == id:
            return f"{name} was written to {id}, and cannot be read again: {error.why}"
        return f"{error.why}; if {error.id} has {name} too, its value is used, since it is asked before {id}"
    except daemon.Refused as error:
        return f"{name} was written to {id}, and cannot be read again: {error}"
    if held.id != id:
        return f"{held.id} has {name} too, and is asked before {id}, so its value is used"
    if held.value == written.value:
        return ""
    if os.environ.get(name) == held.value:
        return f"the environment has {name} too, and its value is used"
    return f"{id} still gives another value of {name}"


@secrets_app.command()
def delete(name: Name, store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Delete a secret from its store. A running daemon keeps using its value until its next reload.

    $ meshctl secrets delete OLD_API_KEY
    """
    require_name(name)
    with opened(config) as mesh:
        held = mesh.holder(name, store)
        held.require_writable()
        held.store.delete(name)
    if as_json:
        out.print_json({"name": name, "store": held.id})
    else:
        out.say(f"deleted {name} from {held.id}", out.GOOD)


@secrets_app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .env file or a JSON object; - reads a pipe.")],
    store: Store = None,
    force: Annotated[bool, typer.Option("--force", help="Replace secrets that have another value.")] = False,
    config: Config = None,
    as_json: out.JsonOption = False,
) -> None:
    """Write all secrets of a file to a store. Nothing is written if one of them already has another value there.

    $ meshctl secrets import .env --store modelmesh.encrypted-file.v1
    """
    given, left_out = secrets_of(file)
    if left_out:
        out.complain(f"left out, since they have no text as their value: {', '.join(left_out)}")
    with opened(config) as mesh:
        id, target = mesh.writable(store)
        kept = _kept(target, given)
        new = {name: value for name, value in given.items() if kept.get(name) != value}
        other = sorted(name for name in new if kept.get(name))
        if other and not force:
            raise daemon.Refused(f"{id} has other values of {', '.join(other)}; --force replaces them")
        _write_all(target, new)
    told = tell(mesh) if new else {}
    if as_json:
        out.print_json({"store": id, "written": sorted(new), "same": sorted(given.keys() - new.keys()), "daemon": told})
    else:
        rest = "" if len(new) == len(given) else "; the others are already there"
        out.say(f"wrote {len(new)} of {len(given)} secrets to {id}{rest}", out.GOOD)


def _kept(store: SecretStore, names: Mapping[str, str]) -> dict[str, str]:
    """Those that the store has."""
    from meshd.sdk.secrets import SecretMissing

    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = store.get(name)
        except SecretMissing:
            continue
    return found


def _write_all(store: SecretStore, secrets: Mapping[str, str]) -> None:
    """Raises Refused, which says what has been written until then."""
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    done: list[str] = []
    for name, value in secrets.items():
        try:
            store.set(name, value)
        except (SecretMissing, SecretStoreError) as error:
            until_then = f"; until then, it has written {', '.join(done)}" if done else ""
            raise daemon.Refused(f"{error}{until_then}") from None
        done.append(name)


@secrets_app.command()
def rotate(
    name: Name,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the new value even if a provider refuses it.")] = False,
    store: Store = None,
    config: Config = None,
    as_json: out.JsonOption = False,
) -> None:
    """Replace a secret: write the new value, have the daemon use it, and ask the providers whether they accept it. If
    one refuses it, the old value is put back, and the exit code is 1.

    $ meshctl secrets rotate OPENAI_API_KEY
    """
    require_name(name)
    with opened(config) as mesh:
        old = mesh.holder(name, store)
        old.require_writable()
        new = Held(name, old.id, old.store, value_of(name))
        if new.value == old.value:
            raise daemon.Refused(f"{name} already has that value")
        new.store.set(name, new.value)
        told = tell(mesh)
        refused = refusals(_providers_of(mesh.config, name)) if told is not None else {}
        back = bool(refused) and not keep
        if back:
            old.store.set(name, old.value)
            tell(mesh)
    if as_json:
        out.print_json({"name": name, "store": old.id, "daemon": told, "refused": refused, "put_back": back})
    else:
        for provider, why in refused.items():
            out.complain(f"{provider} refuses the new value: {one_line(why)}")
        if back:
            out.complain(f"{name} has its old value again")
        else:
            _wrote(new, told, as_json)
    if refused:
        raise typer.Exit(daemon.REFUSED)


def _wrote(written: Held, told: Mapping[str, Any] | None, as_json: bool) -> None:
    if as_json:
        out.print_json({"name": written.name, "store": written.id, "daemon": told})
        return
    read = ", and the daemon has read it" if told is not None else ""
    out.say(f"wrote {written.name} to {written.id}{read}", out.GOOD)
