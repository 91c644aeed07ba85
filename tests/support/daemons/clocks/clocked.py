"""A daemon whose wall clock is elsewhere, so that months end and days pass within a test.

`clock = Clock(directory)`, a daemon with `env=clock.env`, and `clock.set(…)` before or while it runs. Its monotonic
clock is everybody's.
"""

from __future__ import annotations

import datetime
import mmap
import struct
import time
from pathlib import Path

# Imported by Python itself at its start, before anybody has taken hold of the functions. Of a file that both have
# mapped, what is set holds at once.
SHIFTED = """
import mmap, struct, time
with open({path!r}, "rb") as file:
    _shift = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + struct.unpack_from("d", _shift)[0]
time.time_ns = lambda: _time_ns() + int(struct.unpack_from("d", _shift)[0] * 1_000_000_000)
"""


class Clock:
    """Of every daemon with this environment, one after the other."""

    def __init__(self, directory: Path) -> None:
        site, path = directory / "clocked", directory / "shift"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SHIFTED.format(path=str(path)))
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 8)
        self.env = {"PYTHONPATH": str(site)}

    def set(self, now: float) -> None:
        """The time to set now, in UTC seconds."""
        struct.pack_into("d", self._shift, 0, now - time.time())

    @property
    def now(self) -> float:
        shift: float = struct.unpack_from("d", self._shift)[0]
        return time.time() + shift


def last_month_end() -> float:
    """When this month began, in UTC; UTC seconds."""
    today = datetime.datetime.now(datetime.UTC)
    return today.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
