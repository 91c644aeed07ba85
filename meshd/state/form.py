"""The form of a state directory: a number, so that an older daemon does not misread what a newer one wrote.

Owns: STATE_DIR/format. Must never: change for anything that a daemon of the previous form can read, or may ignore.
"""

from __future__ import annotations

import os
from pathlib import Path

from meshd.host.replaced_file import replace_file
from meshd.state.lock import StateLocked

FORM = 1
"""The form of every version so far. Directories of the first versions have no such file."""


_UNMET = "unmet"


class StateOfLater(StateLocked):
    """A newer version has written it."""

    def __init__(self, directory: Path, form: int) -> None:
        self.pid = 0
        Exception.__init__(
            self,
            f"the state directory {directory} was written by a newer version of meshd (its form is {form}, this "
            f"version reads {FORM}): install that version again, or use the copy that was made before the upgrade",
        )


def check(directory: Path) -> None:
    """Raises StateOfLater."""
    form = _form_of(directory)
    if form > FORM:
        raise StateOfLater(directory, form)


def is_used(directory: Path) -> bool:
    """Whether a daemon has kept state there, or that cannot be found out."""
    try:
        return any(name.startswith(("format", "state.", "journal")) for name in os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def note_unmet(directory: Path, unmet: bool) -> None:
    """Remember, for the next start, whether it is unknown what a remote storage has for this directory, which is new.
    Raises OSError."""
    if unmet:
        replace_file(directory / _UNMET, b"")
    else:
        (directory / _UNMET).unlink(missing_ok=True)


def is_unmet(directory: Path) -> bool:
    return os.path.exists(directory / _UNMET)


def mark(directory: Path) -> None:
    """Raises OSError."""
    if _form_of(directory) != FORM:
        replace_file(directory / "format", f"{FORM}\n".encode())


def _form_of(directory: Path) -> int:
    """0 if there is no file, or it cannot be read."""
    try:
        with (directory / "format").open("rb") as file:
            return int(file.read(16))
    except (OSError, ValueError):
        return 0
