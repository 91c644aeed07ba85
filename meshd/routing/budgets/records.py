"""What accounts report about a limit: a refusal, an alert, a use.

Owns: these records. Must never: change anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from meshd.core.events.event_type import EventType
from meshd.routing.budgets import limit as wording
from meshd.routing.table.specs import Allowance


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt does not fit. resets_at: UTC seconds, None: not by itself. spent, reserved, limit: in the
    allowance's measure."""

    allowance: Allowance
    reason: str
    spent: int
    reserved: int
    resets_at: float | None


@dataclass(frozen=True, slots=True)
class Alert:
    """A limit reached its `alert_threshold` or was used up, once a window."""

    type: EventType
    allowance: Allowance
    spent: int
    reserved: int
    resets_at: float | None

    @property
    def reason(self) -> str:
        return wording.taken(self.allowance, self.spent)


class Use(NamedTuple):
    """cost: 10⁻⁹ USD."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0
