"""The process's side: answers each line that it reads.

Owns: the protocol. What the code prints goes to standard error.
Must never: outlive the daemon by more than seconds, even if the code hangs.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_GRACE = 2.0  # s for the code when the daemon is gone
_MOST_SAID = 300

Answer = Callable[[Any], Any]


def serve(load: Callable[[], Answer]) -> None:
    """load: makes the function that is called with each value. Whatever both raise is answered as `error`."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def say(**said: Any) -> None:
        answers.write(json.dumps(said).encode() + b"\n")

    try:
        answer = load()
    except BaseException as error:
        say(error=_said(error))
        return
    say(error="")
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while line := lines.get():
        try:
            found = answer(json.loads(line))
            said = json.dumps({"error": "", "found": found})
        except BaseException as error:
            say(error=_said(error))
        else:
            answers.write(said.encode() + b"\n")


def _read(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    lines.put(b"")
    time.sleep(_GRACE)
    os._exit(0)


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_SAID]
