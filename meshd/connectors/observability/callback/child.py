"""The process of a callback: calls the function with each entry that it reads, and says how that went.

Owns: the protocol's other side: a line of JSON in, a line of JSON out. What the function prints goes to standard error.
Must never: outlive the daemon by more than seconds, even if the function hangs.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_GRACE = 2.0  # s for the function when the daemon is gone
_MOST_SAID = 300


def main(name: str) -> None:
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def answer(error: str) -> None:
        answers.write(json.dumps({"error": error}).encode() + b"\n")

    try:
        function = _load(name)
    except BaseException as error:
        answer(_said(error))
        return
    answer("")
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while line := lines.get():
        try:
            function(json.loads(line))
        except BaseException as error:
            answer(_said(error) or "it failed")
        else:
            answer("")


def _load(name: str) -> Callable[[dict[str, Any]], Any]:
    module, _, attributes = name.partition(":")
    found: Any = importlib.import_module(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    if not callable(found):
        raise TypeError(f"{name} is not a function")
    return found  # type: ignore[no-any-return]


def _read(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    lines.put(b"")
    time.sleep(_GRACE)
    os._exit(0)


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_SAID]


if __name__ == "__main__":
    main(sys.argv[1])
