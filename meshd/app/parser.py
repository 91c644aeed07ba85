"""The parser of `meshd`'s arguments, of which its help and its pages are made."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from meshd.app.arguments import LOG_LEVELS
from meshd.host.build import is_compiled
from modelmesh.version import VERSION

EX_USAGE = 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def parser_of_arguments() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="meshd",
        description="A local gateway for every app on this machine that uses AI models. Without a configuration "
        "it uses what it finds: keys in the environment, local servers, embedded models.",
        epilog="Signals: SIGTERM finishes requests in flight and exits, SIGHUP reloads, SIGUSR1 logs the state. "
        "While it runs, try `meshctl status`, `meshctl chat` and `meshctl doctor`.",
    )
    parser.add_argument("--config", metavar="FILE", help="configuration (YAML, TOML or JSON; - or a pipe: read once)")
    parser.add_argument("--socket", metavar="PATH", help="where to listen")
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="lowest severity to log")
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument(
        "--version", action="version", version=f"meshd {VERSION}{' (compiled)' if is_compiled() else ''}"
    )
    return parser
