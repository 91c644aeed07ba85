"""Whose entries fill a store that has no room for more, so that no user's are pushed out by another's.

Owns: who holds how much, and which entry goes next. Must never: hold the entries themselves.

Over its room, whoever holds most loses what was unused for longest. One owner alone has all of it; of two that want
more than there is, each has half.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Shares(Generic[Key]):
    """size: of all entries."""

    def __init__(self) -> None:
        self.size = 0
        self._owners: dict[Key, tuple[Hashable, int]] = {}
        self._held: dict[Hashable, OrderedDict[Key, None]] = {}  # each's, the longest unused first
        self._sizes: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, key: object) -> bool:
        return key in self._owners

    def put(self, key: Key, owner: Hashable, size: int = 1) -> None:
        """It is the owner's now, and used last."""
        if key in self._owners:
            self.drop(key)
        self._owners[key] = owner, size
        held = self._held.get(owner)
        if held is None:
            held = self._held[owner] = OrderedDict()
        held[key] = None
        self._sizes[owner] = self._sizes.get(owner, 0) + size
        self.size += size

    def used(self, key: Key) -> None:
        found = self._owners.get(key)
        if found is not None:
            self._held[found[0]].move_to_end(key)

    def drop(self, key: Key) -> None:
        found = self._owners.pop(key, None)
        if found is None:
            return
        owner, size = found
        self.size -= size
        self._sizes[owner] -= size
        del self._held[owner][key]
        if not self._held[owner]:
            del self._held[owner], self._sizes[owner]

    def pop(self) -> Key:
        """Drop the next one that has to go. Raises ValueError where there is none."""
        sizes = self._sizes
        owner = max(sizes, key=sizes.__getitem__) if len(sizes) != 1 else next(iter(sizes))
        key = next(iter(self._held[owner]))
        self.drop(key)
        return key
