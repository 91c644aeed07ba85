"""Keeps a process's standard streams open, however it was started, so that they never end it."""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """A closed descriptor (`2>&-`) would be reused by the next socket, and print would write into it."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            try:
                found = os.open(os.devnull, os.O_RDWR)
            except OSError:
                continue
            if found != number:
                os.dup2(found, number)
                os.close(found)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False, errors="backslashreplace"))
    for stream in (sys.stdout, sys.stderr):
        # Characters outside the locale are escaped, rather than ending the process.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")


def release_standard_streams() -> None:
    """At the end: output that a full disk or a closed pipe does not accept is dropped. Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
