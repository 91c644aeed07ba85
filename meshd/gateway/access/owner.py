"""Who owns what the daemon keeps for an app: a response, a file, a batch.

Must never: keep anything.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from meshd.core.caller import Caller, Token
from meshd.gateway.access.app_identity import Identity


class Owner(NamedTuple):
    """user: a user of this machine or a token, in whose share it is counted. app: the entry of `apps` that the user's
    program matched, else `default`."""

    user: str
    app: str


def owner_of(caller: Caller, identity: Identity) -> Owner | None:
    """The same over every transport. A program's name does not count: the kernel does not report it over TCP, and a
    process may choose any. None for a process that the kernel did not identify: nothing is kept for it."""
    if isinstance(caller, Token):
        return Owner(f"token {caller.digest}", "")
    return Owner(f"uid {caller.uid}", identity.account) if caller.uid >= 0 else None


def key_of(owner: Owner, id: str) -> str:
    """The key of a table's row. The app itself may have chosen the id."""
    return hashlib.sha256("\0".join((*owner, id)).encode(errors="replace")).hexdigest()[:40]
