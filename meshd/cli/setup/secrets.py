"""`meshctl secrets`: shows and changes what is in the secret stores. It opens the stores itself, as the user who runs
it; a running daemon is notified, and checks new keys.

Must never: print a value that was not asked for by name, or take one as an argument, which other users could see.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line

if TYPE_CHECKING:
    from meshd.config import MeshConfig
    from meshd.connectors.secrets.stores import SecretStores
    from meshd.sdk.secrets import SecretStore

app = helping.Commands()
secrets_app = helping.Commands(cls=helping.Few, no_args_is_help=True, help="List, set, replace and delete secrets.")
app.add_typer(secrets_app, name="secrets", rich_help_panel=out.SET_UP)

_REFUSES = ("authentication", "permission")  # kinds of failure that concern a key
_PATIENCE = 60.0  # s for the daemon to read its stores and ask a provider
_MOST = 1024 * 1024  # characters of a value, or of a file to import

Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret's name, as in ${secrets:NAME}.")]
Store = Annotated[
    str | None,
    typer.Option("--store", metavar="ID", help="Which of the configured stores. Default: the first that fits."),
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Default: the file that the daemon would read.")
]


@dataclass(frozen=True, slots=True)
class _Opened:
    """source: of the configuration, as the daemon names it."""

    config: MeshConfig
    source: str
    stores: SecretStores

    def chosen(self, store: str | None) -> list[tuple[str, SecretStore]]:
        """Those that were asked for. Raises Misused."""
        if store is None:
            return self.stores.named
        from meshd.connectors.registry import default_registry

        spec = default_registry().find(store, "secret-store")
        wanted = {store, spec.id if spec else store, *(spec.aliases if spec else ())}
        found = [(id, each) for id, each in self.stores.named if id in wanted]
        if not found:
            raise daemon.Misused(f"{store} is not among the stores: {', '.join(id for id, _ in self.stores.named)}")
        return found

    def writable(self, store: str | None) -> tuple[str, SecretStore]:
        """Raises Refused."""
        chosen = self.chosen(store)
        found = next(((id, each) for id, each in chosen if each.writable), None)
        if found is None:
            names = ", ".join(id for id, _ in chosen)
            raise daemon.Refused(f"{names} cannot be written; docs/secrets.md lists the stores that can")
        return found

    def holder(self, name: str, store: str | None) -> tuple[str, SecretStore, str]:
        """(its id, the first store that has the secret, the value). Raises Refused."""
        from meshd.sdk.secrets import SecretMissing, SecretStoreError

        reasons = list(self.stores.problems)
        for id, each in self.chosen(store):
            try:
                return id, each, each.get(name)
            except (SecretMissing, SecretStoreError) as error:
                reasons.append(str(error))
        raise daemon.Refused("; ".join(dict.fromkeys(reasons)) or "no secret store is configured")


@contextmanager
def _opened(path: Path | None) -> Iterator[_Opened]:
    """The stores of the configuration. An error of a store ends the command with exit code 1."""
    from meshd.cli.setup.configuration import at_hand
    from meshd.compilation.secret_sources import secret_sources
    from meshd.config import MeshConfig
    from meshd.connectors.secrets.stores import SecretStores
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    config, source = at_hand() if path is None else (MeshConfig.from_file(path), str(path))
    stores = SecretStores(secret_sources(config))
    try:
        yield _Opened(config, source, stores)
    except (SecretMissing, SecretStoreError) as error:
        raise daemon.Refused(str(error)) from None
    finally:
        stores.close()


@secrets_app.command("list")
def list_(store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Show the secrets' names: where each is, and which providers use it. Exit code 1 if one that is used is missing.

    $ meshctl secrets list
    """
    with _opened(config) as opened:
        rows, remarks = _listed(opened, store)
    if as_json:
        out.print_json({"data": rows, "remarks": remarks})
    else:
        out.print_table(
            ["secret", "store", "used by"],
            [[row["name"], row["store"] or ("missing", out.BAD), ", ".join(row["used_by"])] for row in rows],
            empty="no secrets",
        )
        for remark in remarks:
            out.complain(one_line(remark))
    if not all(row["store"] for row in rows):
        raise typer.Exit(daemon.REFUSED)


def _listed(opened: _Opened, store: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows, the errors of stores that could not be asked)."""
    from meshd.connectors.secrets.env import EnvStore
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    used = _used_by(opened.config)
    where: dict[str, str] = {}
    remarks = list(opened.stores.problems)
    for id, each in opened.chosen(store):
        try:
            found = [] if isinstance(each, EnvStore) else each.list()  # most of the environment is not secret
        except (SecretMissing, SecretStoreError) as error:
            found = []
            remarks.append(str(error))
        for name in found:
            where.setdefault(name, id)
        for name in used.keys() - where.keys():
            try:
                each.get(name)
            except (SecretMissing, SecretStoreError):
                continue
            where[name] = id
    names = sorted({*where, *used})
    return [{"name": name, "store": where.get(name), "used_by": used.get(name, [])} for name in names], remarks


def _used_by(config: MeshConfig) -> dict[str, list[str]]:
    """Secret → the providers that use it, or the keys of other sections."""
    return {
        name: sorted({str(path[1]) if path[0] == "providers" else str(path[0]) for path in paths})
        for name, paths in config.secret_paths().items()
    }


@secrets_app.command()
def get(name: Name, store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Print a secret's value.

    $ meshctl secrets get OPENAI_API_KEY | wl-copy
    """
    with _opened(config) as opened:
        id, _, value = opened.holder(name, store)
    if as_json:
        out.print_json({"name": name, "store": id, "value": value})
    else:
        print(value)


@secrets_app.command("set")
def set_(name: Name, store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Write a secret: its value is asked for, or comes from a pipe. A running daemon uses it at once.

    $ meshctl secrets set OPENAI_API_KEY
    $ pass show openai | meshctl secrets set OPENAI_API_KEY
    """
    with _opened(config) as opened:
        id, target = opened.writable(store)
        target.set(name, _value(name))
        _say_where(opened, name, id)
    _wrote(name, id, _told(opened), as_json)


def _say_where(opened: _Opened, name: str, id: str) -> None:
    """Warn if a store that is asked earlier has the same name."""
    holder, _, _ = opened.holder(name, None)
    if holder != id:
        out.complain(f"{holder} has {name} too, and is asked before {id}, so its value is used")


@secrets_app.command()
def delete(name: Name, store: Store = None, config: Config = None, as_json: out.JsonOption = False) -> None:
    """Delete a secret from its store. A running daemon keeps using its value until its next reload.

    $ meshctl secrets delete OLD_API_KEY
    """
    with _opened(config) as opened:
        id, target, _ = opened.holder(name, store)
        target.delete(name)
    if as_json:
        out.print_json({"name": name, "store": id})
    else:
        out.say(f"deleted {name} from {id}", out.GOOD)


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
    from meshd.connectors.secrets.stores import usable
    from meshd.sdk.secrets import SecretMissing

    given = {name: usable(name, value) for name, value in _values(file).items() if value}
    with _opened(config) as opened:
        id, target = opened.writable(store)
        new: dict[str, str] = {}
        other: list[str] = []
        for name, value in given.items():
            try:
                kept = target.get(name)
            except SecretMissing:
                kept = ""
            if kept and kept != value:
                other.append(name)
            if kept != value:
                new[name] = value
        if other and not force:
            raise daemon.Refused(f"{id} has other values of {', '.join(sorted(other))}; --force replaces them")
        for name, value in new.items():
            target.set(name, value)
    told = _told(opened) if new else {}
    if as_json:
        out.print_json({"store": id, "written": sorted(new), "same": sorted(given.keys() - new.keys()), "daemon": told})
    else:
        out.say(f"wrote {len(new)} of {len(given)} secrets to {id}; the others are already there", out.GOOD)


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
    with _opened(config) as opened:
        id, target, old = opened.holder(name, store)
        if not target.writable:
            raise daemon.Refused(f"{id} has {name}, and cannot be written")
        new = _value(name)
        if new == old:
            raise daemon.Refused(f"{name} already has that value")
        target.set(name, new)
        told = _told(opened)
        refused = _refusals(_used_by(opened.config).get(name, [])) if told is not None else {}
        back = bool(refused) and not keep
        if back:
            target.set(name, old)
            _told(opened)
    if as_json:
        out.print_json({"name": name, "store": id, "daemon": told, "refused": refused, "put_back": back})
    else:
        for provider, why in refused.items():
            out.complain(f"{provider} refuses the new value: {one_line(why)}")
        if back:
            out.complain(f"{name} has its old value again")
        else:
            _wrote(name, id, told, as_json)
    if refused:
        raise typer.Exit(daemon.REFUSED)


def _refusals(providers: list[str]) -> dict[str, str]:
    """Provider → why it refuses its key, asked now."""
    found: dict[str, str] = {}
    for provider in providers:
        for row in daemon.tell("probe", {"provider": provider}, _PATIENCE, provider).get("data") or ():
            if row.get("kind") in _REFUSES:
                found[provider] = str(row.get("error") or "")
    return found


def _told(opened: _Opened) -> dict[str, Any] | None:
    """Have the daemon read its stores again. None: it did not, and the reason was printed."""
    from modelmesh import DaemonUnavailableError, MeshError

    try:
        source = str(out.get(daemon.ask("status"), "config", "source") or "")
        if source and source != opened.source:
            out.complain(f"the running daemon uses {source}, not {opened.source}, so it was not notified")
            return None
        return daemon.tell("secrets/refresh", {}, _PATIENCE, "the stores")
    except DaemonUnavailableError:
        out.complain("no daemon is running: it will read the secret when it starts")
    except MeshError as error:
        out.complain(f"the daemon could not be notified ({one_line(str(error))}); it reads its stores again by itself")
    return None


def _wrote(name: str, id: str, told: Mapping[str, Any] | None, as_json: bool) -> None:
    if as_json:
        out.print_json({"name": name, "store": id, "daemon": told})
        return
    read = ", and the daemon has read it" if told is not None else ""
    out.say(f"wrote {name} to {id}{read}", out.GOOD)


def _value(name: str) -> str:
    """Raises Misused."""
    from meshd.connectors.secrets.stores import usable
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    given = getpass.getpass(f"Value of {name}: ") if sys.stdin.isatty() else sys.stdin.read(_MOST)
    try:
        return usable(name, given)
    except (SecretMissing, SecretStoreError) as error:
        raise daemon.Misused(str(error)) from None


def _values(file: str) -> dict[str, str]:
    """Of a .env file or a JSON object. Raises Misused, Refused."""
    from meshd.connectors.secrets.dotenv import parse_dotenv

    try:
        text = sys.stdin.read(_MOST) if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise daemon.Refused(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None
    if not text.lstrip().startswith("{"):
        return parse_dotenv(text)
    try:
        found = json.loads(text)
        return {str(name): value for name, value in found.items() if isinstance(value, str)}
    except (ValueError, RecursionError):
        raise daemon.Misused(f"{file} is not a JSON object") from None
