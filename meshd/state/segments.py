"""The journal's segment files: the current one, and how far each is folded into the ledger.

Owns: STATE_DIR/journal. Must never: remove a segment before the storage has its content, in sums and in statistics.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from meshd.spend.journal import create_segment, read_pieces, read_segment
from meshd.spend.ledger import Ledger
from meshd.spend.records import Begin, Settle
from meshd.spend.recovered import LOOK_BACK

logger = logging.getLogger("meshd.state")
SEGMENT_LIMIT = 8 * 1024 * 1024
_PIECE = 100  # records that are folded at once, which takes a fifth of a millisecond
WAIT_FOR_STATISTICS = 300.0  # s that a finished segment is kept for them


class Segments:
    """offsets: segment name → bytes folded. current: the segment that the router writes to, "" before it has asked for
    one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.offsets: dict[str, int] = {}
        self.last = 0
        self.current = ""
        self._inodes: dict[str, int] = {}  # of segments created here
        self.offered = ""  # the segment that the router was asked to switch to
        self._begun = self._resumed = False
        self._finished: dict[str, float] = {}  # finished ones → until when (UTC s) statistics have to cover them

    def make(self) -> None:
        """Raises OSError."""
        self.directory.mkdir(mode=0o700, exist_ok=True)

    def names(self) -> list[str]:
        """Raises OSError."""
        return sorted(name for name in os.listdir(self.directory) if name.endswith(".log") and name[:-4].isdigit())

    def create(self) -> str:
        """Create a segment. Returns its name. Raises OSError."""
        if not self._resumed:  # the storage may know one with any usual number
            self.last = max(self.last, int(time.time()))
        self.last = max([self.last, *(int(name[:-4]) for name in self.names())]) + 1
        name = f"{self.last:08d}.log"
        create_segment(self.directory / name)
        self._inodes[name] = os.stat(self.directory / name).st_ino
        return name

    def resume(self, offsets: Mapping[str, int], last: int) -> None:
        """Continue where an earlier run ended. A segment that this run created has another's name at most."""
        self.offsets.update({name: offset for name, offset in offsets.items() if name not in self._inodes})
        self.last = max(self.last, last)
        self._resumed = True

    def begin(self) -> str:
        """The path of the router's first segment. Raises OSError; then another is offered later."""
        self._begun = True
        self.current = self.offered = ""
        self.current = self.create()
        return self.path(self.current)

    def offer(self) -> str:
        """The path of a segment that the router should switch to; "" if it need not.

        It is offered again until it is taken, because the message may have been lost in a restart of the router.
        """
        if not self._begun or (self.current and self.current_size() < SEGMENT_LIMIT):
            return ""
        if not self.offered:
            try:
                self.offered = self.create()
            except OSError:
                return ""
        return self.path(self.offered)

    def rotated(self, finished: str, now: float) -> bool:
        """Whether the router, which left the segment `finished`, has switched to the one it was offered.

        A restarted router reopens the current one and reports that too, which is not a rotation.
        """
        known = {self.path(name) if name else "" for name in (self.current, self.offered)}
        if not self.offered or finished not in known:
            return False
        self._finished[self.current] = now + LOOK_BACK  # a request may end later than its attempt is settled
        self.current, self.offered = self.offered, ""
        return True

    def keep_all(self, now: float) -> None:
        """Keep all segments until statistics have what they contain from before the restart."""
        with contextlib.suppress(OSError):
            self._finished.update(dict.fromkeys(self.names(), now))

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def lost(self) -> bool:
        """Whether the file that the router writes to was removed, renamed, replaced by a copy, or truncated."""
        if not self.current:
            return False
        try:
            found = os.stat(self.directory / self.current)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        moved = found.st_ino != self._inodes.get(self.current, found.st_ino)
        return moved or found.st_size < self.offsets.get(self.current, 0)

    def abandon(self) -> None:
        """Give up the current segment; the router is offered another."""
        self._inodes.pop(self.current, None)
        if not os.path.exists(self.directory / self.current):  # otherwise it would be read twice
            self.offsets.pop(self.current, None)
        self.current = ""

    def earlier(self) -> list[str]:
        """The names of those that an earlier run wrote. Raises OSError."""
        return [name for name in self.names() if name not in self._inodes]

    def fold_earlier(self, ledger: Ledger) -> None:
        """Raises OSError."""
        self._fold(self.earlier(), ledger, 0.0)

    def fold(self, ledger: Ledger, rest: float = 0.0) -> bool:
        """Read the new records of every segment. rest: s between two pieces, during which the router has the
        interpreter. Returns whether there were any. Raises OSError."""
        return self._fold(self.names(), ledger, rest)

    def _fold(self, names: list[str], ledger: Ledger, rest: float) -> bool:
        found = False
        for name in names:
            offset = self.offsets.get(name, 0)
            if os.stat(self.directory / name).st_size <= offset:
                continue
            for records, end in read_pieces(self.directory / name, offset, _PIECE):
                if end > offset:
                    self.offsets[name] = end
                    found = True
                ledger.apply(records)
                if rest and len(records) == _PIECE:
                    time.sleep(rest)
        return found

    def settled_within(self, seconds: float) -> set[bytes]:
        """Requests of an earlier run that their provider answered within these seconds before its last record, after
        which the daemon may have been killed. Their answers may not have reached the apps, and must not be bought
        again. Raises OSError."""
        answered, last = dict[bytes, float](), 0.0
        for record in self.records():
            last = max(last, record.at)
            if isinstance(record, Settle) and record.ok:
                answered[record.request] = record.at
        return {request for request, at in answered.items() if at >= last - seconds}

    def records(self) -> Iterator[Begin | Settle]:
        """All records of earlier runs. Raises OSError."""
        for name in self.earlier():
            yield from read_segment(self.directory / name)[0]

    def unread(self) -> int:
        """Bytes written but not folded."""
        try:
            return sum(
                max(0, os.stat(self.directory / name).st_size - self.offsets.get(name, 0)) for name in self.names()
            )
        except OSError:
            return 0

    def current_size(self) -> int:
        try:
            return os.stat(self.directory / self.current).st_size if self.current else 0
        except OSError:
            return 0

    def finished(self, covered: float, now: float) -> list[str]:
        """Segments that are no longer written to, and whose requests are in the stored statistics. covered: the time
        until which these are complete. Both times are UTC seconds. Raises OSError."""
        needed = [
            name for name, until in self._finished.items() if covered < until and now < until + WAIT_FOR_STATISTICS
        ]
        return [name for name in self.names() if name not in (self.current, self.offered, *needed)]

    def remove(self, names: list[str]) -> None:
        """Remove segments whose records are in the storage, apart from an incomplete last one. Raises OSError."""
        for name in names:
            path = self.directory / name
            left = os.stat(path).st_size - self.offsets.get(name, 0)
            if left > 0:
                logger.info("dropped %d bytes of a record that a crash left incomplete in %s", left, path)
            path.unlink()
            self.offsets.pop(name, None)
            self._inodes.pop(name, None)
            self._finished.pop(name, None)
