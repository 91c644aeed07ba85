"""How many bytes and files each user has on the daemon's disk.

Owns: the counts, and whether more fits. Must never: touch a disk, or let one user take what is another's.
"""

from __future__ import annotations

from collections import Counter

from meshd.config.schema.connectors.stores import KeptFilesConfig
from modelmesh.errors import InvalidRequestError, MeshError


class Space:
    """Everything, including what is still being written, counts towards its user and towards all users together."""

    def __init__(self) -> None:
        self.limits = KeptFilesConfig()
        self.bytes: Counter[str] = Counter()
        self.count: Counter[str] = Counter()

    def fits(self, user: str, size: int) -> bool:
        """Whether that many more bytes are allowed."""
        limits = self.limits
        return self.bytes[user] + size <= limits.max_user_size and self.bytes.total() + size <= limits.max_total_size

    def take(self, user: str, size: int) -> None:
        """Raises InvalidRequestError if it is too much; then nothing is taken."""
        limits = self.limits
        if self.bytes[user] + size > limits.max_user_size:
            raise _full("Your files", "files.max_user_size", limits.max_user_size)
        if self.bytes.total() + size > limits.max_total_size:
            raise _full("All files of this mesh", "files.max_total_size", limits.max_total_size)
        self.bytes[user] += size

    def grow(self, user: str, size: int) -> None:
        """Take it even if it is too much, since it has been paid for."""
        self.bytes[user] += size

    def give(self, user: str, size: int) -> None:
        self.bytes[user] -= size
        if not self.bytes[user]:
            del self.bytes[user]

    def take_place(self, user: str) -> None:
        """One more file. Raises InvalidRequestError."""
        limits = self.limits
        if self.count[user] >= limits.max_user_count:
            raise _full("You", "files.max_user_count", limits.max_user_count, "files")
        if self.count.total() >= limits.max_count:
            raise _full("All users together", "files.max_count", limits.max_count, "files")
        self.count[user] += 1

    def add_place(self, user: str) -> None:
        """One more, even if it is too many."""
        self.count[user] += 1

    def give_place(self, user: str) -> None:
        self.count[user] -= 1
        if not self.count[user]:
            del self.count[user]


def _full(whose: str, key: str, most: int, unit: str = "bytes") -> MeshError:
    return InvalidRequestError(
        f"{whose} would have more than {most} {unit} ({key}); delete files first.",
        status_code=413,
        code="storage_limit_exceeded",
    )
