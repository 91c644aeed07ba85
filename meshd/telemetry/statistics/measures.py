"""What statistics count: one row for each measure, with everything that the code needs to know about it.

Owns: the measures, their order in storage, their units, what of a request or an attempt they add up, and their column
in `meshctl stats`.
Must never: import more than the standard library and `core/money.py`: the command line reads it before it asks the
daemon.

To add one: a field of `core.events.records.Outcome` (and of `Attempt`, if attempts differ in it), which the request
fills in, and a row at the end of MEASURES. Logs, queries, sinks and `meshctl stats` follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from meshd.core.money import dollars


class Measure(NamedTuple):
    """name: its key in rows. unit: what is counted; money is in 10⁻⁹ USD, and time in microseconds (in rows: seconds).

    of_request, of_attempt: the field of `Outcome` and of `Attempt` that is added up; "": counted by a rule of its own
    (`cells.py`). usage: what a request used: it is in the request log, and what no attempt accounts for belongs to the
    answering one. heading: its column in `meshctl stats`, "": none. derived: rows have something made of it instead.
    """

    name: str
    unit: Literal["count", "tokens", "nano_usd", "us"] = "count"
    of_request: str = ""
    of_attempt: str = ""
    usage: bool = False
    heading: str = ""
    derived: bool = False


MEASURES = (
    Measure("requests_total", heading="requests"),
    Measure("requests_success"),
    Measure("requests_failed", heading="failed"),
    Measure("tokens_in", "tokens", "tokens_in", "tokens_in", usage=True),
    Measure("tokens_out", "tokens", "tokens_out", "tokens_out", usage=True),
    Measure("tokens_cached", "tokens", "tokens_cached", usage=True),
    Measure("cost_total", "nano_usd", "cost", "cost", usage=True, heading="cost"),
    Measure("latency", "us", derived=True),
    Measure("downtime_total", "us", heading="down"),
    Measure("standby_events"),
    Measure("quota_resets"),
    Measure("rotation_events", of_request="rotations"),
    Measure("retries", of_request="retries", heading="retries"),
    Measure("queue_time", "us"),
    Measure("hedges", of_request="hedges", of_attempt="hedge", heading="hedges"),
    Measure("cache_hits", of_request="cached", heading="cached"),
    Measure("requests_saved", heading="saved"),
    Measure("outside_requests", heading="outside"),
    Measure("outside_tokens_in", "tokens", heading="outside in"),
    Measure("outside_tokens_out", "tokens", heading="outside out"),
    Measure("outside_tokens_cached", "tokens"),
    Measure("outside_cost", "nano_usd", heading="outside cost"),
)
"""In the order of storage: append new ones, and never remove one.

requests_saved: answered although an attempt had failed. outside: what agents reported that they used elsewhere, such as
by a subscription; never of the mesh's own requests, and never counted by a budget."""

PLACES = {measure.name: place for place, measure in enumerate(MEASURES)}
_MONEY = tuple(measure for measure in MEASURES if measure.unit == "nano_usd")
USAGE = tuple(measure for measure in MEASURES if measure.usage)


def in_usd(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its money in USD."""
    return {**row, **{each.name: dollars(row[each.name]) for each in _MONEY if each.name in row}}


def value_of(measure: Measure, count: int) -> float | int:
    """The value in the unit of rows."""
    return count / 1e6 if measure.unit == "us" else count
