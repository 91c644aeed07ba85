"""Which state directory spend was counted in, and what else is in a remote storage.

Owns: STATE_DIR/origin, and the names of keys in the storage: `owner`, `table/TABLE/ID` and
`usage/ORIGIN/DAY/SCOPE/NAME`, after the prefix of a daemon that shares the storage. A directory writes only its own
sums, so that none overwrites another's, and all are added up.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from uuid import uuid4

import msgspec

from meshd.host.replaced_file import replace_file
from meshd.sdk.storage import Storage
from meshd.spend.ledger import DAYS_KEPT, Ledger, UsageKey, day_of
from meshd.spend.records import Usage
from meshd.state.codec import read_stored, stored_usage_key, usage_of

HERE_ONLY = ("table/file/", "table/batch/")
"""What belongs to files of this machine."""


class Owner(msgspec.Struct, frozen=True):
    """The directory that the tables were last written from."""

    origin: str = ""


class Arrival(msgspec.Struct, frozen=True):
    """What a remote storage has from other directories. tables: the rows, if another directory wrote them, else None.
    elsewhere: the sums of the other directories."""

    tables: dict[str, bytes] | None
    elsewhere: dict[UsageKey, Usage]


def origin_of(directory: Path) -> str:
    """The directory's own name, which stays the same. Raises OSError."""
    path = directory / "origin"
    try:
        found = path.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        found = ""
    if not re.fullmatch(r"[0-9a-f]{16}", found):
        found = uuid4().hex[:16]
        replace_file(path, f"{found}\n".encode())
    return found


def holder_of(directory: Path, origin: str) -> str:
    """This daemon's name, for a lease and for messages."""
    return f"{socket.gethostname()}:{directory} ({origin})"


def remote_key(key: str, base: str, origin: str) -> str:
    """Where a key of the directory's storage is copied to; "": it is not copied."""
    if key.startswith("table/") and not key.startswith(HERE_ONLY):
        return base + key
    return f"{base}usage/{origin}/{key.removeprefix('usage/')}" if key.startswith("usage/") else ""


def read_arrival(storage: Storage, base: str, origin: str, now: float, *, sums: bool) -> Arrival:
    """sums: whether to add up those of other directories. Raises StorageError."""
    owner = read_stored("owner", storage.load(base + "owner"), Owner) or Owner()
    tables = None
    if owner.origin not in ("", origin):
        rows = ((key.removeprefix(base), value) for key, value in storage.items(base + "table/"))
        tables = {key: value for key, value in rows if not key.startswith(HERE_ONLY)}
    return Arrival(tables, _sums(storage, base, origin, day_of(now - DAYS_KEPT * 86400)) if sums else {})


def _sums(storage: Storage, base: str, origin: str, oldest: str) -> dict[UsageKey, Usage]:
    found = Ledger()
    for key, value in storage.items(base + "usage/"):
        whose, _, name = key.removeprefix(base + "usage/").partition("/")
        if whose != origin and name[: len(oldest)] >= oldest:
            found.add(usage_of(name), read_stored(key, value, Usage) or Usage())
    return found.usage


# -- what the directory remembers of these sums, for a start without the remote storage -----------------

ELSEWHERE = "elsewhere"


def read_elsewhere(storage: Storage) -> dict[UsageKey, Usage]:
    """Raises StorageError."""
    found = read_stored(ELSEWHERE, storage.load(ELSEWHERE), dict[str, Usage]) or {}
    return {usage_of(name): sums for name, sums in found.items()}


def dump_elsewhere(sums: dict[UsageKey, Usage]) -> bytes:
    return msgspec.json.encode({stored_usage_key(key): value for key, value in sums.items()})
