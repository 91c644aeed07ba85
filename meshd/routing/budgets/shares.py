"""Limits that several daemons share: what this one may take of each.

Owns: the grants. Must never: take more than is granted, whatever is lost on the way.

A daemon takes from its grants, without asking. It claims them again and again; a claim says what has been taken and
what is kept. Who divides gives each at least what it keeps, and all together never more than the limit. So a daemon
that is cut off continues with what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from meshd.routing.budgets.limit import Limit
from meshd.routing.budgets.reservations import Route
from meshd.routing.budgets.windows import Sums
from meshd.routing.request.estimate import Estimate
from meshd.sdk.storage import Claim, Grant
from meshd.spend.calendar import Period

_KEPT = {"day": 3 * 86400, "month": 40 * 86400, "rolling": 2 * 86400}  # s that the others remember a window


@dataclass(slots=True)
class Share:
    """Of the window that `sums` counts. slack: what it may keep in addition to what it has taken. needs: the most that
    did not fit."""

    sums: Sums
    granted: int = 0
    slack: int = 0
    needs: int = 0


class Limited(Protocol):
    """The accounts, as far as shares need them."""

    period: Period | None
    limits: dict[tuple[str, str], tuple[Limit, ...]]

    def look_again(self) -> None: ...


class Shares:
    """wanted: called when an attempt has to wait for a larger grant."""

    def __init__(self, accounts: Limited, wanted: Callable[[], None]) -> None:
        self._accounts = accounts
        self._wanted = wanted
        self._shares: dict[Limit, Share] = {}

    def lack(self, route: Route, estimate: Estimate) -> bool:
        """Whether an attempt has to wait for more."""
        amounts = (1, estimate.tokens, estimate.cost)
        found = False
        for taken, measure, _, limit in route.checks:
            amount = amounts[measure]
            if not amount or not _is_shared(limit):
                continue
            share = self._of(limit)
            if taken[measure] + amount > share.granted:
                share.needs = max(share.needs, amount)
                found = True
        if found:
            self._wanted()
        return found

    def claims(self, *, last: bool = False) -> list[Claim]:
        """What to ask for. Until it is answered, only what is kept may be taken. last: keep only what is taken."""
        period = self._accounts.period
        if period is None:
            return []
        claims = []
        self._shares = {limit: self._of(limit) for limit in self._limits()}
        for limit in self._limits():
            share, used = self._of(limit), limit.sums.taken[limit.measure]
            spare = 0 if last else share.slack
            share.granted = max(min(share.granted, used + spare), used)
            allowance = limit.allowance
            kept = _KEPT[allowance.window]
            claims.append(Claim(_key(limit, period), allowance.limit, used, share.granted, share.needs, kept, last))
            share.needs = 0
        return claims

    def take(self, grants: Mapping[str, Grant], *, connected: bool) -> None:
        """The answer to the last claims. connected: of who divides; otherwise it is what was kept before, and there is
        no more for now."""
        period = self._accounts.period
        if period is None:
            return
        for limit in self._limits():
            share, grant = self._of(limit), grants.get(_key(limit, period))
            if grant is not None:
                share.granted = max(share.granted, grant.granted)
            if grant is not None and connected:
                share.slack = grant.slack
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

    def _of(self, limit: Limit) -> Share:
        share = self._shares.get(limit)
        if share is None or share.sums is not limit.sums:
            share = self._shares[limit] = Share(limit.sums)  # another window, of which nothing is granted yet
        return share


def _is_shared(limit: Limit) -> bool:
    """A stint is of one daemon: it begins when that takes a model into use again."""
    return limit.allowance.enforce and limit.allowance.window != "stint"


def _key(limit: Limit, period: Period) -> str:
    allowance = limit.allowance
    window = {"day": period.day, "month": period.month, "rolling": "24h"}[allowance.window]
    return "\x1f".join((allowance.scope, allowance.name.replace("\0", "\x1e"), allowance.measure, window))
