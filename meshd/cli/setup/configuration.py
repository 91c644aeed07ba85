"""`meshctl config`: the running configuration, and configuration files.

Must never: show a secret's value, or overwrite a file unless told to.
"""

from __future__ import annotations

import getpass
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line
from modelmesh.wording import counted

if TYPE_CHECKING:
    from meshd.config import MeshConfig, Problem

app = helping.Commands()
config_app = helping.Commands(
    cls=helping.Few, no_args_is_help=True, help="Show, check, convert and create configurations."
)
app.add_typer(config_app, name="config", rich_help_panel=out.SET_UP)

File = Annotated[Path | None, typer.Argument(help="Default: the file that the daemon would read.", metavar="FILE")]


@config_app.command()
def show(
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Fill in every default; ${env:…} as set in this shell.")
    ] = False,
    origins: Annotated[
        bool, typer.Option("--origins", help="Show instead where each value is written: the file and its line.")
    ] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Show the running daemon's configuration, or what a daemon would start with. Secrets are masked.

    $ meshctl config show > mesh.yaml
    $ meshctl config show --origins
    """
    answer = _running_or_at_hand(resolved)
    if as_json:
        out.print_json(answer)
        return
    if origins:
        for row in answer.get("origins") or []:
            out.write(f"{one_line(str(row.get('file')))}:{row.get('line')}  {one_line(str(row.get('path')))}\n")
        return
    from meshd.config.write.dumping import dump_yaml

    generation = f"generation {answer.get('generation')}" if answer.get("generation") else "no daemon is running"
    out.write(f"# {one_line(str(answer.get('source') or 'built-in'))}, {generation}\n")
    out.write(dump_yaml(answer.get("config") or {}))


@config_app.command()
def files(as_json: out.JsonOption = False) -> None:
    """List the files of the configuration, and the profiles in use.

    $ meshctl config files
    """
    answer = _running_or_at_hand()
    if as_json:
        out.print_json({"files": answer.get("files") or [], "profiles": answer.get("profiles") or []})
        return
    for file in answer.get("files") or []:
        out.write(f"{one_line(str(file))}\n")
    if not answer.get("files"):
        out.say("no file: the configuration is built in")
    for name in answer.get("profiles") or []:
        out.say(f"profile {one_line(str(name))}")


def _running_or_at_hand(resolved: bool = False) -> dict[str, Any]:
    """The running daemon's configuration as it reports it, else that of a daemon started now."""
    from meshd.config import MeshConfig
    from modelmesh import DaemonUnavailableError

    try:
        answer = daemon.ask("config")
        if not resolved:  # the daemon reports it as written
            return answer
        return {**answer, "config": _resolved(MeshConfig.from_dict(answer.get("config") or {}))}
    except DaemonUnavailableError:
        if daemon.settings.socket is not None:
            raise
    config, source = at_hand()
    shown = _resolved(config) if resolved else config.redacted()
    return {"source": source, "generation": 0, "config": shown, **config.described()}


def at_hand() -> tuple[MeshConfig, str]:
    """What a daemon started now would read, and where it is from."""
    from meshd.config import MeshConfig, find_config
    from meshd.config.zero_config import zero_config

    path = find_config()
    if path is not None:
        return MeshConfig.from_file(path), str(path)
    return zero_config(os.environ), "built-in"


def _resolved(config: MeshConfig) -> dict[str, Any]:
    """Every section with its defaults, secrets masked."""
    from meshd.core.text.redaction import redact

    views: dict[str, dict[str, Any]] = {
        "providers": dict(config.providers),
        "models": dict(config.models),
        "pools": dict(config.pools),
    }
    filled: dict[str, Any] = {
        section: {name: entry.model_dump(mode="json", exclude_none=True) for name, entry in view.items()}
        for section, view in views.items()
    }
    for section in ("secrets", "storage", "observability", "discovery", "daemon"):
        filled[section] = getattr(config, section).model_dump(mode="json", exclude_none=True)
    shown: dict[str, Any] = redact(filled)
    return shown


@config_app.command()
def validate(file: File = None, as_json: out.JsonOption = False) -> None:
    """Check a file: every problem at once, with its line. Exit code 1 if there is one.

    $ meshctl config validate /etc/meshd/mesh.yaml
    """
    from meshd.config import find_config

    path = file or find_config()
    if path is None:
        config, _ = at_hand()
        problems, name = config.validate(), "the built-in configuration"
    else:
        problems, name = _problems(path), str(path)
    remarks: list[str] = []
    if not problems:
        problems, remarks = _here(path)
    if as_json:
        out.print_json({"file": name, "valid": not problems, "problems": [problem.asdict() for problem in problems]})
    elif problems:
        for problem in problems:
            out.write(f"{one_line(str(problem))}\n")
        out.complain(f"{name}: {counted(len(problems), 'problem')}")
    else:
        out.say(f"{name} is valid", out.GOOD)
    if not as_json:
        for remark in remarks:
            out.complain(f"note: {remark}")
    if problems:
        raise typer.Exit(daemon.REFUSED)


def _here(path: Path | None) -> tuple[list[Problem], list[str]]:
    """Of a file whose keys and values are right: what in it a daemon here would refuse; and remarks, on what its daemon
    would lack, and on rules of apps that allow more than they seem to. What the running daemon occupies does not count
    against a file that it will read."""
    from meshd.compilation.before_start.preflight import obstacles
    from meshd.config import MeshConfig
    from meshd.config.advice import remarks

    config = MeshConfig.from_file(path) if path is not None else at_hand()[0]
    found = list(obstacles(config, running=True))
    refused = [each.problem for each in found if each.refused and each.problem is not None]
    return refused, [*(each.message for each in found if not each.refused), *remarks(config)]


def _problems(path: Path) -> list[Problem]:
    from meshd.config import MeshConfig, Problem
    from modelmesh.errors import ConfigurationError

    try:
        return MeshConfig.from_file(path).validate()
    except ConfigurationError as error:
        return [Problem(**problem) for problem in error.extra.get("problems") or ()]


@config_app.command()
def schema(as_json: out.JsonOption = False) -> None:
    """Print the JSON Schema of the file, with which editors complete and check it.

    $ meshctl config schema > mesh.schema.json
    """
    from meshd.config.write.json_schema import json_schema

    out.print_json(json_schema())


@config_app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A .yaml, .toml or .json file.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new file; its ending chooses the format. - prints YAML.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Write a configuration in another format, chosen by the file's ending. Comments are lost.

    $ meshctl config convert mesh.yaml mesh.toml
    """
    from meshd.config.read.loading import format_of, load_file
    from meshd.config.write.dumping import dump

    if str(target) != "-" and target.suffix.lower() not in (".yaml", ".yml", ".toml", ".json"):
        raise typer.BadParameter(f"{target} does not end in .yaml, .toml or .json", param_hint="OUT")
    loaded = load_file(str(source))
    if loaded.fatal or loaded.problems:
        raise daemon.Refused("\n".join(str(problem) for problem in loaded.problems))
    text = dump(loaded.raw, "yaml" if str(target) == "-" else format_of(str(target)))
    if str(target) == "-":
        out.write(text)
        return
    _write(target, text, force)
    _wrote(target, as_json)


@config_app.command()
def init(
    path: Annotated[
        Path | None, typer.Argument(help="The new file. Default: the user's configuration file; - prints it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Write a commented file to start from, with what was found on this machine.

    $ meshctl config init && $EDITOR ~/.config/meshd/mesh.yaml
    """
    from meshd.config.read.lookup import user_file
    from meshd.config.zero_config import commented_yaml, zero_config

    if path is not None and str(path) != "-" and path.suffix.lower() not in (".yaml", ".yml"):
        raise typer.BadParameter(
            f"{path} does not end in .yaml; `config convert` makes other formats", param_hint="PATH"
        )
    text = commented_yaml(zero_config(os.environ))
    if str(path) == "-":
        out.write(text)
        return
    target = path or user_file(os.environ)
    _write(target, text, force)
    _wrote(target, as_json)
    if not as_json:
        out.say(_reader(target))


def _reader(target: Path) -> str:
    """Which daemon reads a file, in a sentence."""
    from meshd.config.read.lookup import ENDINGS, SYSTEM_DIRECTORY, user_directory

    place = target.resolve()
    if place.stem == "mesh" and place.suffix in ENDINGS:
        if place.parent == Path(SYSTEM_DIRECTORY).resolve():
            return "The machine's service reads it, and a user's daemon that has no file of its own."
        if place.parent == user_directory(os.environ).resolve():
            return f"Only daemons of {getpass.getuser()} read it; the machine's service reads {SYSTEM_DIRECTORY}."
    return f"No daemon reads it by itself: start one with `meshd --config {shlex.quote(str(target))}`."


def _write(target: Path, text: str, force: bool) -> None:
    if target.exists() and not force:
        raise daemon.Refused(f"{target} already exists; --force overwrites it")
    from meshd.config.write.private_file import write_private

    target.parent.mkdir(parents=True, exist_ok=True)
    write_private(target, text)


def _wrote(target: Path, as_json: bool) -> None:
    if as_json:
        out.print_json({"file": str(target)})
    else:
        out.say(f"wrote {target}", out.GOOD)
