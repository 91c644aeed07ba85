"""One allowance in use: the sums it bounds, the alerts it has given, and its wording for people.

Owns: the wording of a refusal, the order of allowances, once-a-window. Must never: change a sum.
"""

from __future__ import annotations

from typing import Any

from meshd.core.events.event_type import EventType
from meshd.core.member_key import split_member_key
from meshd.core.money import NANO
from meshd.routing.budgets.windows import COST, MEASURES, ROLLING, Meter, Sums
from meshd.routing.request.unpriced import shown
from meshd.routing.table.specs import Allowance
from meshd.spend.calendar import Calendar, Period

NEVER = float("inf")

_SOURCES = ("budget", "quota", "rule")
_SCOPES = ("app", "member", "model", "pool", "provider")
_WINDOWS = ("stint", "rolling", "day", "month")
_PER = {
    "day": "a day",
    "month": "a month",
    "rolling": "in any 24 hours",
    "stint": "since it last came back from standby",
}


def precedence(allowance: Allowance) -> tuple[int, int, int, int]:
    """Which of several refusals is reported: a budget first (`on_budget_exceeded` depends on it), then the narrowest
    scope, the shortest window, and requests before tokens before money."""
    return (
        _SOURCES.index(allowance.source),
        _SCOPES.index(allowance.scope),
        _WINDOWS.index(allowance.window),
        MEASURES[allowance.measure],
    )


class Limit:
    """A limit on one meter. sums: the current window's, after the first `bind`. alerts_at: the usage at which the next
    alert is due. elsewhere: what other daemons have of it; most: what this one may take at most (`shares.py`)."""

    __slots__ = (
        "_day",
        "_exceeded",
        "_warned",
        "_warns_at",
        "alerts_at",
        "allowance",
        "elsewhere",
        "measure",
        "meter",
        "most",
        "sums",
    )

    def __init__(self, allowance: Allowance, meter: Meter) -> None:
        self.allowance = allowance
        self.meter = meter
        self.measure = MEASURES[allowance.measure]
        self.sums = Sums()
        self.elsewhere, self.most = 0, allowance.limit
        self.alerts_at = NEVER
        # A limit of 0 is not reached by free usage, only by a refusal.
        self._warns_at = max(allowance.limit * allowance.alert_threshold, 1)
        self._day = ""
        self._warned = self._exceeded = True

    def bind(self, period: Period) -> None:
        """Use the current window. A new one may alert again; a rolling one, which never starts over, once a day."""
        sums = self.meter.bounded(self.allowance.window, period)
        if sums is not self.sums:
            self.elsewhere, self.most = 0, self.allowance.limit
        if sums is not self.sums or (self.allowance.window == "rolling" and self._day != period.day):
            self.sums, self._day = sums, period.day
            self._warned = self._exceeded = False
            self._next_alert()

    def _next_alert(self) -> None:
        warns_at = NEVER if self._warned else self._warns_at
        used_up_at = NEVER if self._exceeded else max(self.allowance.limit, 1)
        self.alerts_at = min(warns_at, used_up_at) - self.elsewhere

    def look_again(self) -> None:
        """What others have has changed."""
        self._next_alert()

    # -- how it stands --------------------------------------------------------------------------------

    @property
    def spent(self) -> int:
        """With what others have."""
        return self.sums.used[self.measure] + self.elsewhere

    @property
    def reserved(self) -> int:
        return self.sums.taken[self.measure] - self.sums.used[self.measure]

    def due(self) -> list[EventType]:
        """The types of alert that are due now, each once per window."""
        found: list[EventType] = []
        if not self._warned and self.spent >= self._warns_at:
            self._warned = True
            found.append(EventType.BUDGET_ALERT if self._is_budget else EventType.LIMIT_ALERT)
        if self.spent >= self.allowance.limit:
            found += self.used_up()
        self._next_alert()
        return found

    def used_up(self) -> list[EventType]:
        """A reservation was refused, or nothing is left: alerts, once per window."""
        if self._exceeded:
            return []
        self._exceeded = True
        self._next_alert()
        return [EventType.BUDGET_EXCEEDED if self._is_budget else EventType.LIMIT_EXCEEDED]

    @property
    def _is_budget(self) -> bool:
        return self.allowance.source == "budget"

    def resets_at(self, period: Period, excess: int = 1) -> float | None:
        """When the window ends, of a rolling one when `excess` of it has left; UTC s, None: not by itself."""
        if self.allowance.window == "day":
            return period.end
        if self.allowance.window == "month":
            return period.month_end
        rolling = self.meter.rolling
        if self.allowance.window == "rolling" and rolling is not None:
            return rolling.frees_at(self.measure, excess)
        return None

    def standing(self, period: Period, now: float) -> dict[str, Any]:
        """A row of `Accounts.standing`."""
        allowance = self.allowance
        if self.meter.rolling is not None:
            self.meter.rolling.advance(now)
        window, since = {
            "day": (period.day, period.start),
            "month": (period.month, period.month_start),
            "rolling": ("", now - ROLLING),
            "stint": ("", None),
        }[allowance.window]
        return {
            "scope": allowance.scope,
            "name": allowance.name,
            "measure": allowance.measure,
            "window": allowance.window,
            "source": allowance.source,
            "limit": allowance.limit,
            "spent": self.spent,
            "reserved": self.reserved,
            "elsewhere": self.elsewhere,
            "remaining": max(allowance.limit - self.spent - self.reserved, 0),
            "resets_at": self.resets_at(period),
            "since": since,
            "period": window,
            "enforce": allowance.enforce,
            "alert_threshold": allowance.alert_threshold,
        }

    # -- in words -------------------------------------------------------------------------------------

    def refusal(self, amount: int, resets_at: float | None, calendar: Calendar) -> str:
        """Why another `amount` does not fit."""
        allowance = self.allowance
        spends = "cost" if self.measure == COST else "use"
        if amount > allowance.limit:
            may = "spend" if self.measure == COST else "use"
            wants = f"this request may {spends} {self._text(amount)}"
            unit = _unit(allowance)
            return (
                f"{wants}, and {_who(allowance)} may {may} {self._text(allowance.limit)} {unit}{_PER[allowance.window]}"
            )
        said = taken(allowance, self.spent)
        if self.reserved:
            said += f", requests in flight may {spends} {self._text(self.reserved)}"
        if self.spent < allowance.limit and self.measure != MEASURES["requests"]:
            said += f", this one may {spends} {self._text(amount)}"
        if self.spent + self.reserved + amount <= allowance.limit:
            said += ", the rest is kept for other daemons, and the storage that divides it does not answer"
        if resets_at is None:
            return said
        again = "there is room again at" if allowance.window == "rolling" else "resets at"
        return f"{said}; {again} {calendar.text(resets_at)}"

    def raised(self, fields: tuple[str, ...], parts: tuple[str, ...] = ()) -> str:
        """Why a request with such fields, and such parts, which cannot be left out, does not pass."""
        they = "may raise the price" if len(fields + parts) == 1 else "may raise the price, each of them"
        do = "leave it out" if parts else "leave it out, or set unpriced_fields: strip in the pool"
        return f"{shown(fields + parts)} {they} by an unknown amount, and {_who(self.allowance)} has a budget: {do}"

    def unpriced(self, model: str) -> str:
        """Why a model of unknown price cannot be paid for."""
        most, per = money(self.allowance.limit), _PER[self.allowance.window]
        return f"the price of {model} is unknown, and {_who(self.allowance)} may spend {most} {per}: set its `pricing`"

    def unknown(self, why: str) -> str:
        """Why nothing can be paid for while it is not known what earlier runs have spent."""
        return f"it is not known what {_who(self.allowance)} has spent, because the stored state cannot be read: {why}"

    def _text(self, amount: int) -> str:
        return _text(self.allowance, amount)


def taken(allowance: Allowance, spent: int) -> str:
    """How much of it is spent."""
    has = "spent" if allowance.measure == "cost" else "used"
    most = f"{_text(allowance, allowance.limit)} {_unit(allowance)}{_PER[allowance.window]}"
    return f"{_who(allowance)} has {has} {_text(allowance, spent)} of its {most}"


def _who(allowance: Allowance) -> str:
    if allowance.scope != "member":
        return f"{allowance.scope} {allowance.name}"
    pool, model = split_member_key(allowance.name)
    return f"model {model} in pool {pool}"


def _unit(allowance: Allowance) -> str:
    return "" if allowance.measure == "cost" else f"{allowance.measure} "


def _text(allowance: Allowance, amount: int) -> str:
    return money(amount) if allowance.measure == "cost" else f"{amount:,}"


def money(nano: int) -> str:
    """10⁻⁹ USD as "$1.00", with as many digits as a small sum needs; rounded down, as "$1.00 of $1.00" says that
    nothing is left."""
    dollars, rest = divmod(nano, NANO)
    digits = f"{rest:09d}"
    shown = digits[:4] if dollars else digits[:6] if rest >= 1000 else digits
    return f"${dollars:,}.{shown.rstrip('0').ljust(2, '0')}"
