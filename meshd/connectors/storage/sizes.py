"""How much to read from a storage at once, since others may write to it too.

Owns: the bounds. Must never: ask a storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshd.sdk.storage import StorageError

MOST_BYTES = 256 * 1024**2  # of a value
_AT_ONCE = 200  # values
_BYTES_AT_ONCE = 16 * 1024**2


def checked(key: str, size: int) -> None:
    """Raises StorageError for a value that is too large to be read."""
    if size > MOST_BYTES:
        raise StorageError(f"the value of {key!r} has {size:,} bytes, more than the {MOST_BYTES:,} that meshd reads")


def batches(sizes: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Keys to be read together. sizes: key and bytes of each value. Raises StorageError."""
    some: list[str] = []
    total = 0
    for key, size in sizes:
        checked(key, size)
        if some and (len(some) >= _AT_ONCE or total + size > _BYTES_AT_ONCE):
            yield some
            some, total = [], 0
        some.append(key)
        total += size
    if some:
        yield some
