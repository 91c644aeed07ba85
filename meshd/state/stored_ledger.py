"""The ledger of spend in the storage: sums by day, and what is open.

Invariant: sums and the offsets that they were read up to are written together. A storage that writes several keys at
once has a key for each sum; any other has everything in one document.
"""

from __future__ import annotations

import msgspec

from meshd.sdk.storage import Storage
from meshd.spend.ledger import Ledger, UsageKey, day_of
from meshd.spend.records import Begin, OpenItems, Usage
from meshd.state.codec import LedgerDocument, read_stored, stored_usage_key, usage_of
from meshd.state.segments import Segments

USAGE_STORED = 400 * 86400.0  # s a day's sums are kept in the storage

_encode = msgspec.json.Encoder().encode


def read_ledger(storage: Storage, ledger: Ledger, segments: Segments, now: float) -> tuple[Begin, ...]:
    """Add what is stored to the ledger, and the offsets to the segments. Returns the attempts that were open. Sums that
    are too old are deleted."""
    if storage.atomic:
        oldest = day_of(now - USAGE_STORED)
        for key, value in storage.items("usage/"):
            usage = usage_of(key.removeprefix("usage/"))
            if usage[0] < oldest:
                storage.delete(key)
            else:
                ledger.add(usage, read_stored(key, value, Usage) or Usage())
        items = read_stored("journal", storage.load("journal"), OpenItems) or OpenItems()
    else:
        document = read_stored("ledger", storage.load("ledger"), LedgerDocument) or LedgerDocument()
        for name, sums in document.usage.items():
            ledger.add(usage_of(name), sums)
        items = document.items
    segments.resume(items.offsets, items.last_segment)
    for begin in items.open:
        ledger.open[begin.request, begin.attempt] = begin
    ledger.begun.update({bytes.fromhex(request): at for request, at in items.begun.items()})
    return items.open


def ledger_rows(storage: Storage, ledger: Ledger, segments: Segments, usage: set[UsageKey]) -> dict[str, bytes | None]:
    """What to write for the sums that changed."""
    items = OpenItems(
        dict(segments.offsets),
        segments.last,
        tuple(ledger.open.values()),
        {request.hex(): at for request, at in ledger.begun.items()},
    )
    if not storage.atomic:
        rows = {stored_usage_key(key): value for key, value in ledger.usage.items()}
        return {"ledger": _encode(LedgerDocument(rows, items))}
    changes: dict[str, bytes | None] = {"usage/" + stored_usage_key(key): _encode(ledger.usage[key]) for key in usage}
    changes["journal"] = _encode(items)
    return changes
