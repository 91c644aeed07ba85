"""Whether other processes of the same user may read this one's memory and environment, and whether it dumps core."""

from __future__ import annotations

import ctypes
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def set_dumpable(allowed: bool) -> None:
    """Each program starts with True. With False, this process's files in /proc belong to root; it can read its own all
    the same."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(allowed), 0, 0, 0)
