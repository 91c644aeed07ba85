"""Budgets, quotas and count limits: reserve before sending, settle after, never exceed.

Owns: what every scope has used and reserved in its windows, the reservation of one attempt, and alerts.
Must never: read a clock or do I/O. The journal and the ledger (`meshd/spend`) make it durable; this is the copy that
decisions are made by, in the router's own thread, so that no two requests pass on the same dollar.

Invariants: used + reserved never exceeds an enforced limit by a reservation; a reservation is settled exactly once,
in the windows it was made in, whatever the order of settlements; all scopes of an attempt are reserved together
or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshd.routing.estimate import Estimate
from meshd.routing.table import Allowance, ModelSpec

if TYPE_CHECKING:
    from meshd.routing.stages import Question


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt does not fit. resets_at: UTC seconds, None: not by itself. spent, reserved, limit: in the
    allowance's measure."""

    allowance: Allowance
    reason: str
    spent: int
    reserved: int
    resets_at: float | None


@dataclass(slots=True, eq=False)
class Reservation:
    """What one attempt holds of all its scopes. day: the calendar day it counts on ("2026-11-23"), for the journal."""

    estimate: Estimate
    day: str
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """A limit reached its `alert_threshold` ("budget_alert") or was used up ("budget_exceeded"), once a window."""

    type: str
    allowance: Allowance
    spent: int
    reserved: int
    resets_at: float | None


class Accounts:
    """Of all scopes, whether a limit applies to them or not: a reload may bring one."""

    def configure(self, allowances: Mapping[tuple[str, str], tuple[Allowance, ...]], timezone: str) -> None:
        """Limits from now on. What was used and is reserved stays."""
        raise NotImplementedError

    def restore(self, usage: Iterable[tuple[str, str, str, int, int, int]], now: float) -> None:
        """(day, scope, name, requests, tokens, cost) of the ledger, at start: replaces what is known.

        A rolling window knows no hours of an earlier life: its yesterday counts as used at yesterday's end, its
        today as used now, which errs high.
        """
        raise NotImplementedError

    def refusal(self, question: Question, model: ModelSpec) -> Refusal | None:
        """Why `model` cannot be reserved for this request now; None when it can. Changes nothing."""
        raise NotImplementedError

    def reserve(self, question: Question, model: ModelSpec) -> Reservation:
        """Take the estimate of all scopes. The caller has seen `refusal` say None at the same instant."""
        raise NotImplementedError

    def settle(self, reservation: Reservation, tokens: int, cost: int, *, sent: bool = True) -> None:
        """Replace what was reserved by what was used. sent=False: it never left, and is no request. Idempotent."""
        raise NotImplementedError

    def take_alerts(self) -> list[Alert]:
        """Those that arose since the last time."""
        raise NotImplementedError

    def standing(self, now: float) -> list[dict[str, Any]]:
        """Every allowance as `meshctl budget` shows it: scope, name, measure, window, source, limit, spent, reserved,
        remaining, resets_at, enforce, alert_threshold."""
        raise NotImplementedError

    def nothing_reserved(self) -> None:
        """The requests under way have been lost with the router that served them: what they reserved is spent."""
        raise NotImplementedError
