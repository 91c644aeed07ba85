"""Limits that several daemons share: what this one may take of each.

Owns: the grants. Must never: take more than is granted, whatever is lost on the way.

A daemon takes from its grants, without asking. It claims them again and again; a claim says what has been taken and
what is kept. The storage gives each daemon at least what it keeps, and all together never more than the limit. So a
daemon that is cut off continues with what it has.

It claims its parts of the next days and months too, before they begin: one that is cut off then has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from meshd.routing.budgets.limit import Limit
from meshd.routing.budgets.reservations import Route
from meshd.routing.request.estimate import Estimate
from meshd.sdk.storage import Claim, Grant
from meshd.spend.calendar import Period

DAYS_AHEAD = 3
"""For windows that begin within this many days, parts are claimed in advance."""

_KEPT = {"day": (3 + DAYS_AHEAD) * 86400, "month": 40 * 86400, "rolling": 2 * 86400}  # s that others remember a window

_LAST_HOURS = "24h"  # the name of the window that is always the same


@dataclass(slots=True)
class Share:
    """Of one window. slack: what it may keep in addition to what it has taken. needs: the most that did not fit."""

    granted: int = 0
    slack: int = 0
    needs: int = 0


class Limited(Protocol):
    """The accounts, as far as shares need them."""

    period: Period | None
    limits: dict[tuple[str, str], tuple[Limit, ...]]

    def look_again(self) -> None: ...

    def period_of(self, now: float) -> Period: ...

    def coming(self, days: int) -> list[Period]: ...


class Shares:
    """wanted: called when an attempt has to wait for a larger grant."""

    def __init__(self, accounts: Limited, wanted: Callable[[], None]) -> None:
        self._accounts = accounts
        self._wanted = wanted
        self._shares: dict[tuple[Limit, str], Share] = {}  # by limit and window
        self._asked: list[tuple[str, Limit, str]] = []  # in the last claims: key, limit, window
        self._next: tuple[Period | None, list[Period]] = None, []  # a day, and those after it

    def lack(self, route: Route, estimate: Estimate) -> bool:
        """Whether an attempt has to wait for more."""
        period = self._accounts.period
        if period is None:
            return False
        amounts = (1, estimate.tokens, estimate.cost)
        found = False
        for taken, measure, _, limit in route.checks:
            amount = amounts[measure]
            if not amount or not _is_shared(limit):
                continue
            share = self._of(limit, _window(limit, period))
            if taken[measure] + amount > share.granted:
                share.needs = max(share.needs, amount)
                found = True
        if found:
            self._wanted()
        return found

    def claims(self, now: float, *, ahead: bool = True, last: bool = False) -> list[Claim]:
        """What to ask for. Until it is answered, only what is kept may be taken. ahead: of the next windows too.
        last: keep only what is taken."""
        period = self._accounts.period_of(now)
        days = [period, *self._after(period)] if ahead else [period]
        windows = {
            "day": [day.day for day in days],
            "month": list(dict.fromkeys(day.month for day in days)),
            "rolling": [_LAST_HOURS],
        }
        claims = []
        self._asked = []
        for limit in self._limits():
            current = _window(limit, period)
            for window in windows[limit.allowance.window]:
                claim = self._claim(limit, window, begun=window == current, last=last)
                self._asked.append((claim.key, limit, window))
                claims.append(claim)
        if ahead:
            self._forget(period)
        return claims

    def _claim(self, limit: Limit, window: str, *, begun: bool, last: bool) -> Claim:
        share, used = self._of(limit, window), _used(limit, window)
        spare = 0 if last else share.slack
        share.granted = max(min(share.granted, used + spare), used)
        needs, share.needs = share.needs, 0
        allowance = limit.allowance
        return Claim(
            _key(limit, window),
            allowance.limit,
            used,
            share.granted,
            needs,
            lasts=_KEPT[allowance.window],
            last=last,
            ahead=not begun,
        )

    def take(self, grants: Mapping[str, Grant], *, connected: bool) -> None:
        """The answer to the last claims. connected: whether the storage that divides the limits answered; if not, this
        is what was kept before, and there is no more for now."""
        period = self._accounts.period
        if period is None:
            return
        for key, limit, window in self._asked:
            share, grant = self._of(limit, window), grants.get(key)
            if grant is not None:
                share.granted = max(share.granted, grant.granted)
                # What an earlier run kept stays kept.
                kept = share.granted - _used(limit, window)
                share.slack = grant.slack if connected else max(share.slack, kept)
            if window != _window(limit, period):
                continue
            if grant is not None and connected:
                limit.elsewhere = grant.elsewhere
            limit.most = limit.allowance.limit - limit.elsewhere if connected else share.granted
            limit.look_again()
        self._accounts.look_again()

    def end(self) -> None:
        """The limits are this daemon's own from now on."""
        for limit in self._limits():
            limit.elsewhere, limit.most = 0, limit.allowance.limit
        self._accounts.look_again()

    def _limits(self) -> Iterator[Limit]:
        return (limit for limits in self._accounts.limits.values() for limit in limits if _is_shared(limit))

    def _of(self, limit: Limit, window: str) -> Share:
        share = self._shares.get((limit, window))
        if share is None:
            share = self._shares[limit, window] = Share()
        return share

    def _after(self, period: Period) -> list[Period]:
        if self._next[0] is not period:
            self._next = period, self._accounts.coming(DAYS_AHEAD)
        return self._next[1]

    def _forget(self, period: Period) -> None:
        """Limits that no longer hold, and windows that have ended, except yesterday's: a clock may be set back."""
        limits = set(self._limits())
        self._shares = {
            (limit, window): share
            for (limit, window), share in self._shares.items()
            if limit in limits and (window == _LAST_HOURS or window >= period.yesterday[: len(window)])
        }


def _is_shared(limit: Limit) -> bool:
    """A stint belongs to one daemon: it begins when that daemon takes a model into use again."""
    return limit.allowance.enforce and limit.allowance.window != "stint"


def _used(limit: Limit, window: str) -> int:
    meter = limit.meter
    sums = limit.sums if window == _LAST_HOURS else meter.days.get(window) or meter.months.get(window)
    return sums.taken[limit.measure] if sums is not None else 0


def _window(limit: Limit, period: Period) -> str:
    """The window's name; days and months sort by their names."""
    return {"day": period.day, "month": period.month, "rolling": _LAST_HOURS}[limit.allowance.window]


def _key(limit: Limit, window: str) -> str:
    allowance = limit.allowance
    return "\x1f".join((allowance.scope, allowance.name.replace("\0", "\x1e"), allowance.measure, window))
