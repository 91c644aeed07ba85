"""What the processes of all embedded models share: they end with the daemon, and report when they are ready.

Owns: the child's side of the protocol with `process.py`: stdin closes when the daemon ends; the only line on stdout is
`ready`, with the names of what confines the process; everything else goes to stderr.
Must never: import the daemon, so that a child holds little more than its model.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Iterable

from meshd.connectors.providers.embedded.confinement import confine

READY = "ready"
NICENESS = 5  # a desktop stays usable while the model thinks
OOM_SCORE = 500  # when memory runs out, the model is killed before the daemon and the user's programs


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that every child takes."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--socket", required=True, help="path of the UNIX socket to serve on; ends in .sock")
    made.add_argument("--alias", required=True, help="the name of the model")
    made.add_argument("--threads", type=int, default=0, help="0: the machine's cores")
    return made


def settle(socket: str, weights: str = "") -> list[str]:
    """Before the model's package is imported: lower the priority, make threads sleep while they wait, remove a stale
    socket, confine the process, watch stdin. Returns how it is confined, for `announce`."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(OOM_SCORE))
    # Otherwise OpenMP's threads spin while one of them waits for a core: on a busy machine, a fiftieth of the speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)
    confined = confine(os.path.dirname(socket), weights)
    threading.Thread(target=_die_with_the_daemon, args=(socket,), daemon=True).start()
    return confined


def threads(asked: int) -> int:
    return asked if asked > 0 else len(os.sched_getaffinity(0))


def announce(confined: Iterable[str]) -> None:
    print(READY, *confined, flush=True)


def wait_for_ever() -> None:
    threading.Event().wait()


def _die_with_the_daemon(socket: str) -> None:
    """Exit when the kernel closes the daemon's end of stdin, which it does however the daemon ends."""
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    with contextlib.suppress(OSError):
        os.unlink(socket)
    os._exit(0)
