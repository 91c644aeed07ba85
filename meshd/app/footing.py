"""A process's standard streams and descriptor limit, however it was started.

Owns: open standard streams, and the limit of open files.
Must never: end the process.
"""

from __future__ import annotations

import os
import resource
import sys

FEWEST_FILES = 48
"""With fewer, a daemon cannot even report that it has too few."""
_ENOUGH_FILES = 256
_WANTED_FILES = 65_536


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
    """At the end: what a full disk, or a reader that has gone, does not take is dropped. Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def raise_file_limit() -> tuple[int, str | None]:
    """Raise it as far as allowed; the limit, and a warning if it is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):
            pass
    if soft == resource.RLIM_INFINITY or soft >= _ENOUGH_FILES:
        return soft, None
    return soft, f"only {soft} files may be open at once: raise `ulimit -n` (LimitNOFILE= in a unit) to 1024 or more"
