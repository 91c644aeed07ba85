"""The kept answers of one pool.

Owns: how much room they take, and which make way for others.
Must never: decide what may be kept, or answer a request.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.core.fair_eviction import Shares
from meshd.routing.table.policies import CachePolicy

LARGEST_SHARE = 4  # no answer takes more than this part of a pool's max_size
ENTRY_BYTES, CHUNK_BYTES = 1024, 64  # bytes of memory in addition to the answer itself


class Entry(msgspec.Struct, frozen=True):
    """A kept answer: `body` with its headers, or a stream's `chunks` and `usage` (OpenAI's map). mesh: as the first app
    got it. at: monotonic seconds."""

    body: bytes | None
    headers: dict[str, str] | None
    chunks: tuple[bytes, ...]
    usage: dict[str, Any] | None
    mesh: dict[str, Any]
    at: float

    @property
    def size(self) -> int:
        """Bytes of memory, approximately."""
        return ENTRY_BYTES + len(self.body or b"") + sum(map(len, self.chunks)) + CHUNK_BYTES * len(self.chunks)

    @property
    def model(self) -> str:
        return str(self.mesh.get("model", ""))


@dataclass(slots=True)
class Shelf:
    """One pool's answers. If it is full, the user with the most loses the least recently used one."""

    policy: CachePolicy
    entries: dict[bytes, Entry] = field(default_factory=dict)
    shares: Shares[bytes] = field(default_factory=Shares)
    hits: int = 0
    coalesced: int = 0
    misses: int = 0

    @property
    def size(self) -> int:
        return self.shares.size

    def kept(self, key: bytes, now: float) -> Entry | None:
        """The kept answer, without marking it as used."""
        entry = self.entries.get(key)
        return None if entry is None or self._expired(entry, now) else entry

    def find(self, key: bytes, now: float) -> Entry | None:
        entry = self.entries.get(key)
        if entry is None:
            return None
        if self._expired(entry, now):
            self.drop(key)
            return None
        self.shares.used(key)
        return entry

    def put(self, key: bytes, entry: Entry, owner: Hashable = -1) -> None:
        """Keep it, replacing an older one, unless it is too large. owner: who asked for it."""
        size = entry.size
        if size > self.policy.max_size // LARGEST_SHARE:
            return
        self.entries[key] = entry
        self.shares.put(key, owner, size)
        self.trim()

    def drop(self, key: bytes) -> None:
        self.entries.pop(key, None)
        self.shares.drop(key)

    def trim(self) -> None:
        while self.size > self.policy.max_size:
            del self.entries[self.shares.pop()]

    def sweep(self, now: float) -> None:
        for key in [key for key, entry in self.entries.items() if self._expired(entry, now)]:
            self.drop(key)

    def _expired(self, entry: Entry, now: float) -> bool:
        return now - entry.at >= self.policy.ttl
