"""What the state directory remembers of this daemon's parts of shared limits, for a start without the storage that
divides them.

Owns: the row `kept` of the directory's storage: the key of a claim → what is kept. Must never: contain more than the
dividing storage has been told.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from meshd.sdk.storage import Claim, Storage, StorageError
from meshd.state.codec import read_stored

logger = logging.getLogger("meshd.state")
_KEY = "kept"


class KeptParts:
    def __init__(self) -> None:
        self._stored: dict[str, int] | None = None  # None: not read yet
        self._earlier: dict[str, int] = {}  # kept before the restart, and not claimed since

    def remember(self, storage: Storage, claims: Sequence[Claim], *, first: bool = False) -> list[Claim]:
        """Call before the claims are sent. first: the first time since the router started. Returns the claims with what
        may be reported as kept: including what was kept before the restart, and never less than the directory would say
        after the next one."""
        kept = {claim.key: claim.keeps for claim in claims}
        try:
            if first or self._stored is None:
                self._stored = read_stored(_KEY, storage.load(_KEY), dict[str, int]) or {}
                self._earlier = dict(self._stored)
            kept = {key: max(amount, self._earlier.pop(key, 0)) for key, amount in kept.items()}
            # Not every call claims the next windows.
            after = kept if any(claim.ahead for claim in claims) else {**self._stored, **kept}
            if after != self._stored:
                storage.save(_KEY, msgspec.json.encode(after))
                self._stored = after
        except StorageError as error:
            logger.debug("what is kept of shared limits is not remembered: %s", error)
            before = self._stored or {}
            kept = {key: max(amount, before.get(key, 0)) for key, amount in kept.items()}
        return [msgspec.structs.replace(claim, keeps=kept[claim.key]) for claim in claims]
