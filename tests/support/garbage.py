"""What is left to the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable


def left_by(work: Callable[[], object]) -> int:
    """How many objects can only be freed by the garbage collector after `work`."""
    gc.collect()
    gc.disable()
    try:
        work()
        return gc.collect()
    finally:
        gc.enable()
