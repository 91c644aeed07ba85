"""Where a process works: the git repository of its working directory.

Owns: reading /proc/PID/cwd, finding the repository above it, and finding the process that holds a socket.
Must never: follow a link that a user made, open a file of another kind than a regular one, take another user's
directory for a repository (as git does not), or decide permissions: the owner of a process chooses where it works, so
the name is only a label.

A directory may be on a file system that never answers, so this is not for the router's loop
(`meshd/gateway/frontends/workplaces.py` has threads for it).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from meshd.host.plain_text import printable
from meshd.host.process import processes
from meshd.host.users import home_of

_MOST_LEVELS = 64
_MOST_READ = 4096  # bytes of a `.git` file
_MOST_PROCESSES = 4096  # looked at for one socket
_LONGEST = 60  # characters of a name
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_WORKTREES = "/.git/worktrees/"


def project_of(pid: int, started: int, uid: int) -> str:
    """The repository's directory, as `~/work/api`; "" if there is none, or if it may not be read. started: the clock
    ticks at which the process began, since its pid may be another's by now."""
    try:
        here = os.open(f"{processes.PROC}/{pid}/cwd", _DIRECTORY)  # itself, whatever its path leads to now
    except OSError:
        return ""
    try:
        if not started or processes.start_time(pid) != started:
            return ""
        return _named(_repository(here, uid), uid)
    except OSError:
        return ""
    finally:
        os.close(here)


def holders_of(uid: int, inodes: Collection[int], likely: Iterable[int] = ()) -> dict[int, tuple[int, int]]:
    """inode → (pid, start time) of a process of that user that has the socket open: one of `likely`, else the newest.
    Sockets that no such process has, or whose descriptors may not be read, are left out."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, tuple[int, int]] = {}
    for pid in chain(_of_user(likely, uid), _of_user(_all_processes(), uid)):
        if len(found) == len(wanted):
            break
        started = processes.start_time(pid)
        held = {wanted[name] for name in _open_files(pid) if name in wanted}
        if held and processes.start_time(pid) == started:
            found.update((inode, (pid, started)) for inode in held if inode not in found)
    return found


def _all_processes() -> Iterator[int]:
    """The newest first; the directory is read when the first is asked for."""
    pids = sorted((int(name) for name in os.listdir(processes.PROC) if name.isdigit()), reverse=True)
    yield from pids[:_MOST_PROCESSES]


def _of_user(pids: Iterable[int], uid: int) -> Iterator[int]:
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.stat(f"{processes.PROC}/{pid}").st_uid == uid:
                yield pid


def _open_files(pid: int) -> Iterator[str]:
    folder = f"{processes.PROC}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            yield os.readlink(f"{folder}/{name}")


def _repository(here: int, uid: int) -> str:
    """The path of the first directory with a `.git` of that user or root, from the given one upwards; "" if there is
    none."""
    at = os.dup(here)
    try:
        for _ in range(_MOST_LEVELS):
            found = _git_in(at, uid)
            if found is not None:
                return _main_repository(at, found) or os.readlink(f"/proc/self/fd/{at}")
            above = os.open("..", _DIRECTORY, dir_fd=at)
            is_top = os.path.samestat(os.fstat(above), os.fstat(at))
            os.close(at)
            at = above
            if is_top:
                break
        return ""
    finally:
        os.close(at)


def _git_in(directory: int, uid: int) -> os.stat_result | None:
    try:
        found = os.stat(".git", dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return found if found.st_uid in (uid, 0) and (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)) else None


def _main_repository(directory: int, found: os.stat_result) -> str:
    """For a work tree, whose `.git` is a file, the repository that it belongs to, as that file says; else ""."""
    if not stat.S_ISREG(found.st_mode):
        return ""
    try:
        file = os.open(".git", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return ""
        said = os.read(file, _MOST_READ).decode(errors="replace")
    finally:
        os.close(file)
    path, mark, _ = said.removeprefix("gitdir:").strip().partition(_WORKTREES)
    return path if mark and path.startswith("/") else ""


def _named(path: str, uid: int) -> str:
    """The path below the user's home as `~/…`; of a long one, the end."""
    home = home_of(uid)
    if home and path.startswith(home + "/"):
        path = "~" + path[len(home) :]
    while len(path) > _LONGEST and "/" in path.removeprefix("…/"):
        path = "…/" + path.removeprefix("…/").partition("/")[2]
    return printable(path)
