"""What the state actor hears, and its answers."""

from __future__ import annotations

from typing import Any

from meshd.core.messaging.message import Message
from meshd.sdk.storage import Claim


class StateChanged(Message, frozen=True):
    """A part of the router's state that survives a restart → state. key: (table, id). value: None if it was removed.

    Tables: member (by its `member_key`), model, provider, pool, keys (a provider's keys that are set aside),
    response, file, batch (by a hash of owner and id), announced (what has been said of a model's prices and end).
    durable: it is written at once (unless the policy is `in-memory`), as for an operator's decision.
    """

    table: str
    key: str
    value: dict[str, Any] | None
    durable: bool = False


class StatisticsChanged(Message, frozen=True):
    """Rows of the table `statistics` that are written together or not at all → state."""

    rows: dict[str, dict[str, Any] | None]


class LoadState(Message, frozen=True):
    """→ state at boot; answered with RestoredState."""


class RestoredState(Message, frozen=True):
    """tables: table → key → value. begun: ids of requests that an earlier run had sent to a provider and
    not settled (they count as spent, and are not sent again). answered: ids whose provider answered just before a
    crash, so that the answer may not have reached the app (not sent again either). directory: where files may be kept,
    "" for nowhere. unread: why what earlier runs stored cannot be read yet, so that it is not known what they spent.
    late: it can be read now, and this is what the router lacked."""

    tables: dict[str, dict[str, dict[str, Any]]]
    begun: frozenset[bytes]
    answered: frozenset[bytes] = frozenset()
    directory: str = ""
    unread: str = ""
    late: bool = False


class JournalRotated(Message, frozen=True):
    """The router writes to a new segment from now on → state. `finished` is the one to fold and remove."""

    finished: str


class OpenJournal(Message, frozen=True):
    """→ state; answered with the path of a new segment, which the router opens for appending; "" while the disk cannot
    be written (a RotateJournal follows when it can)."""


class LoadTable(Message, frozen=True):
    """→ state; answered with the rows of a table, id → value. For tables that RestoredState leaves out
    (`statistics`). None: they cannot be read yet; telemetry gets them as TableLoaded when they can."""

    table: str


class ClaimBudgets(Message, frozen=True):
    """router → state: what it asks for of the limits that daemons share. Answered with BudgetGrants of the same number,
    later."""

    number: int
    claims: list[Claim]


class GetSyncStatus(Message, frozen=True):
    """→ state; answered with a map for `meshctl status`: ok, error, directory, spend_today (USD), …"""


class SyncStatus(Message, frozen=True):
    ok: bool
    error: str = ""
    at: float = 0.0
    pending: int = 0
    journal_bytes: int = 0


class ExportState(Message, frozen=True):
    """→ state; answered with one map."""


class ImportState(Message, frozen=True):
    """→ state; replaces the stored state. Answered with the RestoredState that the router has to adopt."""

    state: dict[str, Any]
