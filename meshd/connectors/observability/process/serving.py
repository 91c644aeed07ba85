"""The process's side: answers each message that it reads.

Owns: the protocol: each message is preceded by its length, answers are lines of JSON. What the code prints goes to
standard error.
Must never: outlive the daemon by more than seconds, even if the code hangs.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_GRACE = 2.0  # s for the code when the daemon is gone
_MOST_SAID = 300
_length = struct.Struct("!I")

Answer = Callable[[Any], Any]


def serve(load: Callable[[], Answer], decode: Callable[[bytes], Any] = json.loads) -> None:
    """load: makes the function that is called with each value. An exception of either is answered as `error`."""
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
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(messages,), daemon=True).start()
    while message := messages.get():
        try:
            found = answer(decode(message))
            said = json.dumps({"error": "", "found": found})
        except BaseException as error:
            say(error=_said(error))
        else:
            answers.write(said.encode() + b"\n")


def read_message() -> bytes:
    """Empty if the daemon is gone."""
    head = sys.stdin.buffer.read(_length.size)
    return sys.stdin.buffer.read(_length.unpack(head)[0]) if len(head) == _length.size else b""


def _read(messages: queue.SimpleQueue[bytes]) -> None:
    while message := read_message():
        messages.put(message)
    messages.put(b"")
    time.sleep(_GRACE)
    os._exit(0)


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_SAID]
