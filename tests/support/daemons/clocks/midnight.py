"""A timezone whose midnight is near, so that tests wait seconds and not a day for a real one.

`zone_with_midnight_in(3, directory)` and a daemon with `daemon.timezone: Test/Midnight` and
`env={"PYTHONTZPATH": str(directory)}`.
"""

from __future__ import annotations

import math
import struct
import time
from pathlib import Path

DAY = 86400


def zone_with_midnight_in(seconds: float, directory: Path, name: str = "Test/Midnight") -> int:
    """Write the zone's TZif file (RFC 8536) under directory, where `zoneinfo` finds it by PYTHONTZPATH.

    The midnight (UTC s): `seconds` from now, or up to a second later, because offsets are whole seconds.
    """
    midnight = math.ceil(time.time() + seconds)
    offset = -midnight % DAY  # local time is UTC and so much more
    if offset > DAY // 2:
        offset -= DAY
    path = Path(directory) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_fixed(offset))
    return midnight


def _fixed(offset: int) -> bytes:
    """A version 2 file without transitions, and the same offset in its footer."""
    # magic, version, 15 reserved bytes; isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = struct.pack(">lbb", offset, 0, 0) + b"TST\0"
    sign, rest = "-" if offset > 0 else "", abs(offset)  # POSIX counts westwards
    footer = f"\nTST{sign}{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}\n".encode()
    return (header + block) * 2 + footer
