"""The root of the command line `meshctl`.

Owns: the list of commands, the global options, and how any command ends (exit codes, no traceback).
Must never: do a command's work, or import a command's module before it is needed.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

import typer

from meshd.cli import daemon, helping
from meshd.host.process.standard_streams import open_standard_streams, release_standard_streams

# command → its module in this folder, in the order of `meshctl --help`.
COMMANDS: Final[dict[str, str]] = {
    "chat": "ask.chat",
    "embed": "ask.embed",
    "speak": "ask.speak",
    "transcribe": "ask.transcribe",
    "image": "ask.image",
    "search": "ask.services",
    "translate": "ask.services",
    "parse": "ask.services",
    "batch": "ask.batch",
    "status": "show.status",
    "pools": "show.pools",
    "models": "show.models",
    "providers": "show.providers",
    "apps": "show.usage.apps",
    "clients": "show.usage.clients",
    "budget": "show.usage.budget",
    "explain": "show.explain",
    "stats": "show.usage.stats",
    "report": "report.command",
    "top": "top.command",
    "events": "show.events",
    "requests": "show.requests",
    "dashboard": "show.dashboard",
    "reload": "control",
    "rotate": "control",
    "model": "control",
    "probe": "control",
    "discover": "control",
    "drain": "control",
    "connect": "connect.command",
    "service": "service.command",
    "pull": "setup.pull",
    "config": "setup.configuration",
    "import": "setup.imports",
    "catalogue": "setup.catalogue",
    "connectors": "setup.connectors",
    "token": "setup.token",
    "curve": "setup.curve",
    "secrets": "setup.secrets.command",
    "state": "setup.state",
    "doctor": "setup.diagnosis.doctor",
}


class MeshGroup(helping.Group):
    """Loads a command when it is named, accepts `--socket` anywhere, and ends every command with an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            module = importlib.import_module(f"meshd.cli.{COMMANDS[cmd_name]}")
            self.commands.update(typer.main.get_group(module.app).commands)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:  # a typing error: load all, so that the nearest name is found
            for name in COMMANDS:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        args = _socket_first(list(args))
        daemon.settings.json = "--json" in _before_dashes(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(daemon.INTERRUPTED) from None
        except BrokenPipeError:
            # Python flushes stdout once more at exit; send that to /dev/null.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(daemon.BROKEN_PIPE) from None
        except Exception as error:
            if _is_typers(error):
                helping.say_plainly(error)
                raise
            if os.environ.get("MESHCTL_DEBUG"):
                raise
            raise typer.Exit(daemon.report(error)) from None
        return result


def _is_typers(error: Exception) -> bool:
    """Whether it is typer.Exit, Abort or a usage error, which typer shows itself."""
    return isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "exit_code")


def _before_dashes(args: Sequence[str]) -> Sequence[str]:
    return args[: args.index("--")] if "--" in args else args


def _socket_first(args: list[str]) -> list[str]:
    """Move `--socket PATH` to the front, since people also write global options after the command."""
    words = list(_before_dashes(args))
    first: list[str] = []
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--socket":
            if not words:
                return [word]  # without a path, so that typer reports that it is missing
            first += [word, words.pop(0)]
        else:
            (first if word.startswith("--socket=") else rest).append(word)
    return [*first, *rest, *args[len(first) + len(rest) :]]


app = helping.Commands(
    name="meshctl",
    cls=MeshGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Use and control meshd, this machine's gateway to AI models.",
    epilog=(
        '$ meshctl chat "What is a service mesh?"\n'
        "$ meshctl status --json | jq .pools\n\n"
        "Exit codes: 0 done, 1 the daemon refused the request, 2 wrong usage, 69 no daemon."
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        print_version()
        raise typer.Exit


@app.callback()
def _root(
    socket: Annotated[
        str | None,
        typer.Option(help="The daemon's socket. Default: MESH_SOCKET, then the usual places.", metavar="PATH"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    daemon.settings.socket = socket


def print_version() -> None:
    from modelmesh.version import VERSION

    print(f"meshctl {VERSION}")


def main() -> None:
    """The console script."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that the terminal lacks must not end a command
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # nor a prompt whose bytes are not text
    try:
        app(prog_name="meshctl")
    except KeyboardInterrupt:
        sys.exit(daemon.INTERRUPTED)
    except Exception as error:
        if os.environ.get("MESHCTL_DEBUG"):
            raise
        sys.exit(daemon.report(error))
    finally:
        release_standard_streams()
