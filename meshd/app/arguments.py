"""The arguments of `meshd`.

Owns: reading arguments that are complete and valid, as in a unit. Everything else (help, abbreviations, mistakes) is
left to `parser.py`. Must never: import argparse, which with gettext takes 0.4 MB of an idle daemon.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_WITH_VALUE = {"--config": "config", "--socket": "socket", "--log-level": "log_level"}


class Options(msgspec.Struct):
    """config: a file, or `-`. socket: a path. log_level: one of LOG_LEVELS."""

    config: str | None = None
    socket: str | None = None
    log_level: str | None = None
    check: bool = False


def complete(arguments: Sequence[str]) -> Options | None:
    """The options; None if the arguments are not complete and valid."""
    options = Options()
    rest = iter(arguments)
    for argument in rest:
        name, given, value = argument.partition("=")
        if argument == "--check":
            options.check = True
            continue
        if name not in _WITH_VALUE:
            return None
        if not given:
            value = next(rest, "")
        if not value or value.startswith("-") or (name == "--log-level" and value not in LOG_LEVELS):
            return None
        setattr(options, _WITH_VALUE[name], value)
    return options
