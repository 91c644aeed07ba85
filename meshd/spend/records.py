"""What the journal and the ledger keep: an attempt that begins, its end, and sums.

Owns: the forms that are stored. Must never: change one so that what an older version wrote is not read.
"""

from __future__ import annotations

import msgspec

BEGIN = 1
SETTLE = 2


class Begin(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=BEGIN):
    """An attempt is about to be sent to a provider. Times in UTC seconds, money in 10⁻⁹ USD.

    reserved, tokens_in, tokens_out, units: the most that it can use. day: the day on which it counts, in the router's
    time zone; "": the UTC day of `at`. Older segments lack the fields from `day` on.
    """

    request: bytes  # 16 bytes
    at: float
    provider: str
    model: str
    pool: str
    app: str
    reserved: int
    deadline: float
    attempt: int = 0
    day: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    units: dict[str, int] = {}


class Settle(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=SETTLE):
    """How the attempt of this request and number ended. sent: False: it never left, and does not count as a request.
    units: what else was counted, by the names of `core/prices.py`. Last in both kinds of record: older segments lack
    it, and so do attempts that used none."""

    request: bytes
    at: float
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    cost: int
    ok: bool
    attempt: int = 0
    sent: bool = True
    units: dict[str, int] = {}


class Usage(msgspec.Struct):
    """requests: attempts sent to a provider. cost in 10⁻⁹ USD. units: what else was counted, by the names of
    `core/prices.py`."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: int = 0
    units: dict[str, int] = {}


class OpenItems(msgspec.Struct, frozen=True):
    """The part of the ledger that is written whole: how far segments are folded, and what is open.

    last_segment: the highest number ever used; numbers are never reused, or the offset of a removed segment would skip
    the beginning of a new one.
    """

    offsets: dict[str, int] = {}
    last_segment: int = 0
    open: tuple[Begin, ...] = ()
    begun: dict[str, float] = {}
