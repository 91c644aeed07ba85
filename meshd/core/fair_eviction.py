"""Which entries a full store drops, so that one user cannot push out another's.

Owns: how much each owner holds, and which entry goes next. Must never: hold the entries themselves.

When it is full, the owner with the largest share loses its least recently used entry. A single owner may fill it all;
two that each want more than half get half each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from operator import attrgetter
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class _Share(Generic[Key]):
    """One owner's entries. keys: the least recently used first."""

    __slots__ = ("keys", "owner", "size")

    def __init__(self, owner: Hashable) -> None:
        self.owner = owner
        self.keys: OrderedDict[Key, int] = OrderedDict()  # key → size
        self.size = 0


class Shares(Generic[Key]):
    """size: the sum over all entries."""

    def __init__(self) -> None:
        self.size = 0
        self._shares: dict[Hashable, _Share[Key]] = {}
        self._in: dict[Key, _Share[Key]] = {}

    def __len__(self) -> int:
        return len(self._in)

    def __contains__(self, key: object) -> bool:
        return key in self._in

    def put(self, key: Key, owner: Hashable, size: int = 1) -> None:
        """Give the entry to this owner, as its most recently used one."""
        if key in self._in:
            self.drop(key)
        share = self._shares.get(owner)
        if share is None:
            share = self._shares[owner] = _Share(owner)
        self._in[key] = share
        share.keys[key] = size
        share.size += size
        self.size += size

    def used(self, key: Key) -> None:
        share = self._in.get(key)
        if share is not None:
            share.keys.move_to_end(key)

    def drop(self, key: Key) -> None:
        share = self._in.pop(key, None)
        if share is None:
            return
        size = share.keys.pop(key)
        share.size -= size
        self.size -= size
        if not share.keys:
            del self._shares[share.owner]

    def pop(self) -> Key:
        """Drop the entry that goes next. Raises ValueError if there is none."""
        share = max(self._shares.values(), key=_size)
        key = next(iter(share.keys))
        self.drop(key)
        return key


_size = attrgetter("size")
