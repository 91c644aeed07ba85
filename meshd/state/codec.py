"""How state is stored: the names of its keys, and the form of values that are not plain maps.

Owns: key names. They are `table/TABLE/ID`, `usage/DAY/SCOPE/NAME` and `journal`. A storage without transactions has
`ledger` instead of the last two, so that sums and offsets are one value. In DAY/SCOPE/NAME, also within `ledger`, the
NUL in a member's name is written as two characters.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from meshd.spend.ledger import UsageKey, usage_key
from meshd.spend.records import OpenItems, Usage

EXPORT_VERSION = 1

logger = logging.getLogger("meshd.state")
T = TypeVar("T")


class LedgerDocument(msgspec.Struct, frozen=True):
    """usage: DAY/SCOPE/NAME → sums."""

    usage: dict[str, Usage] = {}
    items: OpenItems = OpenItems()


def stored_key(table: str, id: str) -> str:
    # Ids of members contain a NUL, at which SQLite's own shell would stop.
    return f"table/{table}/{id}".replace("\0", "\x1f")


def table_key(key: str) -> tuple[str, str]:
    _, table, id = key.split("/", 2)
    return table, id.replace("\x1f", "\0")


_ESCAPE = "\x1f"
_NUL, _ITSELF = f"{_ESCAPE}0", f"{_ESCAPE}1"


def stored_usage_key(key: UsageKey) -> str:
    """The key of a sum: DAY/SCOPE/NAME."""
    day, scope, name = key
    return f"{day}/{scope}/{name.replace(_ESCAPE, _ITSELF).replace(chr(0), _NUL)}"


def usage_of(stored: str) -> UsageKey:
    """The parts of DAY/SCOPE/NAME. The name may contain slashes. Raises ValueError."""
    day, scope, name = stored.split("/", 2)
    return day, scope, name.replace(_NUL, chr(0)).replace(_ITSELF, _ESCAPE)


def read_stored(key: str, value: bytes | None, type: type[T]) -> T | None:
    """A stored value. An invalid one causes a warning and does not prevent the start."""
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=type)
    except msgspec.MsgspecError as error:
        logger.warning("the stored value of %r is invalid and is ignored: %s", key, error)
        return None


def read_export(state: Mapping[str, Any]) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[UsageKey, Usage]]:
    """(tables, sums) of an exported state. Raises ValueError."""
    try:
        tables = msgspec.convert(state["tables"], dict[str, dict[str, dict[str, Any]]])
        usage = msgspec.convert(state.get("usage", {}), dict[str, Usage])
    except (KeyError, msgspec.ValidationError) as error:
        raise ValueError(f"not an exported state: {error}") from error
    if state.get("version") != EXPORT_VERSION:
        raise ValueError("not an export of this version")
    return tables, {usage_key(name): value for name, value in usage.items()}
