"""Statistics as CSV, for spreadsheets.

Owns: the columns and how values are written. Must never: let a name that an app chose be read as a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from meshd.core.prices import UNITS
from meshd.host.plain_text import one_line
from meshd.telemetry.statistics.measures import MEASURES

_LATENCIES = ("latency_avg", "latency_p50", "latency_p95", "latency_p99", "ttft_p50", "ttft_p95")
_COLUMNS = (*(measure.name for measure in MEASURES if not measure.derived), *_LATENCIES)
_FORMULA = ("=", "+", "-", "@", "\t")


def as_csv(groups: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> str:
    """One line for each group, after the names of the columns. Money in USD, times in seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    units = [unit.name for unit in UNITS]
    writer.writerow([*groups, *_COLUMNS, *units])
    for row in rows:
        group, used = row.get("group") or {}, row.get("units") or {}
        named = [_name(group.get(each) or "") for each in groups]
        counted = [_number(row.get(each)) for each in _COLUMNS]
        writer.writerow([*named, *counted, *(used.get(each, 0) for each in units)])
    return text.getvalue()


def _name(text: str) -> str:
    plain = one_line(str(text))
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


def _number(value: Any) -> str:
    """Without an exponent, which not every spreadsheet reads."""
    if value is None:
        return ""
    return f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
