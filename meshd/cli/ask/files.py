"""Files that commands read and write for models: speech, recordings, images.

Owns: where an answer's bytes go, and that a file is either complete or absent.
Must never: write bytes to a terminal, or ask anything.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import typer

from meshd.cli.screen import output as out
from meshd.host.real_path import real_path

STDOUT = "-"


def target(given: str | None, what: str, example: str) -> str:
    """The path that was given, or "-" for stdout. Raises BadParameter if that is a terminal, or an empty name."""
    if given == "":
        raise typer.BadParameter("it is empty; give a name", param_hint="--output")
    if given not in (None, STDOUT):
        return str(given)
    if out.on_terminal():
        raise typer.BadParameter(f"{what} is not text for a terminal: give -o FILE, as in -o {example}, or use a pipe")
    return STDOUT


@contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """A file to write. It replaces an older one if the block succeeds, and is removed if it fails. "-": stdout. Raises
    BadParameter if it cannot be created."""
    if path == STDOUT:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    found = real_path(path)  # a link stays; the file that it points to is replaced
    partial = os.path.join(os.path.dirname(found), f".{os.path.basename(found)[:200]}.{os.getpid()}")
    try:
        if _is_special(found):  # a device or a pipe
            file: BinaryIO = open(found, "wb")  # noqa: SIM115
            partial = ""
        else:
            file = open(partial, "xb")  # noqa: SIM115
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--output") from None
    try:
        with file:
            yield file
        if partial:
            with suppress(OSError):
                os.chmod(partial, stat.S_IMODE(os.stat(found).st_mode))
            os.replace(partial, found)
    except BaseException:
        if partial:
            with suppress(OSError):
                os.unlink(partial)
        raise


def _is_special(path: str) -> bool:
    """Whether the path exists and is not a regular file. Raises IsADirectoryError for a directory."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(0, "it is a folder")
    return not stat.S_ISREG(mode)


def ending(path: str) -> str:
    """The ending of a file's name, in lower case and without the dot."""
    return os.path.splitext(path)[1].lower().lstrip(".")


def contents(path: str, argument: str) -> tuple[str, bytes]:
    """(name, content) of a file; "-": of stdin. Raises BadParameter if it cannot be read, or is empty."""
    try:
        if path == STDOUT:
            name, content = argument.lower(), sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                name, content = os.fsencode(os.path.basename(path)).decode(errors="replace"), file.read()
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint=argument) from None
    if not content:
        raise typer.BadParameter(f"{path}: the file is empty", param_hint=argument)
    return name, content
