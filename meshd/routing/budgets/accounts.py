"""Budgets, quotas and count limits: reserve before sending, settle after, never exceed.

Owns: what every scope has used and reserved in its windows, who is refused, and alerts.
Must never: read a clock or do I/O. The journal and the ledger (`meshd/spend`) make it durable; this is the copy that
decisions use, in the router's own thread, so that no two requests spend the same dollar.

Invariants: used + reserved never exceeds an enforced limit by a reservation; a reservation is settled exactly once,
in the windows it was made in, whatever the order of settlements; all scopes of an attempt are reserved together
or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from meshd.core.events.event_type import EventType
from meshd.core.member_key import member_key
from meshd.routing.budgets.limit import NEVER, Limit, precedence
from meshd.routing.budgets.records import Alert, Refusal, Use
from meshd.routing.budgets.reservations import Reservation, Route, sums_of
from meshd.routing.budgets.shares import Shares
from meshd.routing.budgets.windows import COST, Meter, Sums
from meshd.routing.request.estimate import write_percent
from meshd.routing.request.unpriced import unpriced
from meshd.routing.table.specs import Allowance, ModelSpec, Window
from meshd.spend.calendar import Calendar, Period
from meshd.spend.ledger import MOST_APPS, OTHERS

if TYPE_CHECKING:
    from meshd.routing.request.question import Question

MOST_ROUTES = 10_000  # remembered; apps name themselves, so there may be any number
_ONE_REQUEST = 1


class Accounts:
    """The accounts of all scopes, whether a limit applies to them or not: a reload may bring one.

    If several limits refuse, the first by `limits.precedence` is reported: budgets, quotas, then rules; the narrowest
    scope first.

    meters, limits: by (scope, name). open: reservations that are not settled. period: of the last look at the calendar.
    """

    def __init__(self) -> None:
        self._calendar = Calendar()
        self._ahead = 0.0  # s
        self._configured = False
        self.period: Period | None = None
        self._start = self._end = 0.0  # of the current day; empty: to be looked up
        self.meters: dict[tuple[str, str], Meter] = {}
        self.limits: dict[tuple[str, str], tuple[Limit, ...]] = {}
        self._apps = 0  # how many meters are of apps
        self.routes: dict[tuple[str, str, str], Route] = {}
        self.lumped: set[Route] = set()  # those with something in their lump
        self.open: set[Reservation] = set()
        self._alerts: list[Alert] = []
        self.shares: Shares | None = None  # None: the limits are this daemon's own
        self.unknown = ""  # why it is not known what earlier runs have spent

    # -- limits ---------------------------------------------------------------------------------------

    def configure(self, allowances: Mapping[tuple[str, str], tuple[Allowance, ...]], timezone: str) -> None:
        """Apply these limits from now on. What was used or reserved is kept, on the days on which it was counted.

        Raises ValueError for an unknown timezone, with nothing changed.
        """
        self._calendar = Calendar(timezone)
        if not self._configured:
            # What was restored before this was assigned to days of UTC.
            for meter in self.meters.values():
                meter.rolling = None
            self._configured = True
        before = {limit.allowance: limit for limits in self.limits.values() for limit in limits}
        self.limits = {
            key: tuple(before.get(allowance) or Limit(allowance, self._meter(*key)) for allowance in of_one)
            for key, of_one in allowances.items()
        }
        for allowance in before.keys() - {allowance for of_one in allowances.values() for allowance in of_one}:
            before[allowance].alerts_at = NEVER  # attempts in flight still know it
        self._drop_apps(surplus=self._apps - MOST_APPS)
        self._begin_anew()

    def clock_set(self, ahead: float) -> None:
        """The wall clock, which all windows follow, is `ahead` seconds ahead of the time in questions."""
        self._ahead = ahead

    def restore(self, usage: Iterable[tuple[str, str, str, int, int, int]], now: float) -> None:
        """(day, scope, name, requests, tokens, cost) of the ledger, at start: replaces what is known.

        A rolling window does not know the hours of an earlier run: yesterday's use counts as used at yesterday's end,
        today's as used now, which is never too low. Open reservations stay. Each run begins a new stint.
        """
        allowances = {key: tuple(limit.allowance for limit in limits) for key, limits in self.limits.items()}
        self.meters, self._apps, self.limits = {}, 0, {}
        for day, scope, name, requests, tokens, cost in usage:
            meter = self._meter(scope, name)
            meter.day(day).add(requests, tokens, cost)
            meter.month(day[:7]).add(requests, tokens, cost)
        self.limits = {
            key: tuple(Limit(allowance, self._meter(*key)) for allowance in of_one)
            for key, of_one in allowances.items()
        }
        self._begin_anew()
        now += self._ahead
        period = self._today(now)
        for meter in self.meters.values():
            meter.forget(period)
        for reservation in self.open:
            self._hold_again(reservation, now)

    def add(self, usage: Iterable[tuple[str, str, str, int, int, int]], now: float) -> None:
        """What was used elsewhere and is known only now, in the form of `restore`. A rolling window counts it as used
        now, which is never too low."""
        period = self._today(now + self._ahead)
        for day, scope, name, requests, tokens, cost in usage:
            meter = self._meter(scope, name)
            meter.day(day).add(requests, tokens, cost)
            meter.month(day[:7]).add(requests, tokens, cost)
            if meter.rolling is not None and day in (period.day, period.yesterday):
                used = Sums()
                used.add(requests, tokens, cost)
                meter.rolling.presume(used, now + self._ahead)

    def begin_stint(self, pool: str, model: str) -> None:
        """The member came back from standby: what it used before no longer counts."""
        key = ("member", member_key(pool, model))
        meter = self.meters.get(key)
        if meter is not None and meter.stint is not None:
            meter.stint = Sums()
            self._forget_routes()
            assert self.period is not None, "a stint was begun in one"
            for limit in self.limits.get(key, ()):
                limit.bind(self.period)

    # -- an attempt -----------------------------------------------------------------------------------

    def refusal(self, question: Question, model: ModelSpec) -> Refusal | None:
        """Why `model` cannot be reserved for this request now; None when it can. Changes nothing, except that a limit
        that refuses raises its alert."""
        route = self._route(question, model)
        if route.unpriced is not None:
            limit = route.unpriced
            return Refusal(limit.allowance, limit.unpriced(model.id), limit.spent, limit.reserved, None)
        if not route.checks:
            return None
        needs = question.needs
        if route.budget is not None and (needs.costly or needs.unknown or needs.fixed or needs.files or needs.kind):
            names, parts = unpriced(needs, model, question.pool)
            if names or parts:
                limit = route.budget
                return Refusal(limit.allowance, limit.raised(names, parts), limit.spent, limit.reserved, None)
        now = question.now + self._ahead
        for rolling in route.rollings:
            rolling.advance(now)
        estimate = question.estimate(model)
        amounts = (_ONE_REQUEST, estimate.tokens_in + estimate.tokens_out, estimate.cost)
        for taken, measure, most, limit in route.checks:
            amount = amounts[measure]
            # What costs nothing fits a budget that is used up.
            if amount and taken[measure] + amount > most:
                return self._refuse(limit, amount, now)
        if self.unknown and estimate.cost and route.budget is not None:
            limit = route.budget
            return Refusal(limit.allowance, limit.unknown(self.unknown), limit.spent, limit.reserved, None)
        return None

    def _refuse(self, limit: Limit, amount: int, now: float) -> Refusal:
        allowance, spent, reserved = limit.allowance, limit.spent, limit.reserved
        resets_at = None  # of one that never fits
        if amount <= allowance.limit:
            resets_at = limit.resets_at(self._today(now), spent + reserved + amount - allowance.limit)
        if amount <= allowance.limit or spent >= allowance.limit:
            self._alert(limit, limit.used_up())
        reason = limit.refusal(amount, resets_at, self._calendar)
        return Refusal(allowance, reason, spent, reserved, resets_at)

    def lacks(self, question: Question, model: ModelSpec) -> bool:
        """Whether the attempt fits, and has to wait for this daemon's part of a limit that others share."""
        return self.shares is not None and self.shares.lack(self._route(question, model), question.estimate(model))

    def look_again(self) -> None:
        """How much may be taken has changed."""
        self._forget_routes()

    def reserve(self, question: Question, model: ModelSpec) -> Reservation:
        """Reserve the estimate in all scopes. The caller has just had None from `refusal`."""
        route = self._route(question, model)
        estimate = question.estimate(model)
        tokens, cost = estimate.tokens_in + estimate.tokens_out, estimate.cost
        for sums in route.sums:
            sums.reserve(tokens, cost)
        route.lump.reserve(tokens, cost)
        self.lumped.add(route)
        buckets = [(rolling, rolling.reserve(tokens, cost, question.now + self._ahead)) for rolling in route.rollings]
        assert self.period is not None, "a route was made in one"
        percent = write_percent(question.needs, model)
        reservation = Reservation(estimate, self.period.day, route.account, route, buckets, write_percent=percent)
        self.open.add(reservation)
        return reservation

    def settle(self, reservation: Reservation, tokens: int, cost: int, *, sent: bool = True) -> None:
        """Replace what was reserved by what was used. sent=False: it never left, and does not count. Idempotent."""
        if reservation.settled:
            return
        reservation.settled = True
        self.open.discard(reservation)
        estimate, route = reservation.estimate, reservation.route
        requests = 1 if sent else 0
        more = requests - 1, tokens - estimate.tokens_in - estimate.tokens_out, cost - estimate.cost
        for sums in route.sums:
            sums.settle(requests, tokens, cost, more)
        route.lump.settle(requests, tokens, cost, more)
        self.lumped.add(route)
        for rolling, bucket in reservation.buckets:
            rolling.settle(bucket, requests, tokens, cost, more)
        for limit in route.limits:
            if limit.sums.used[limit.measure] >= limit.alerts_at:
                self._alert(limit, limit.due())

    def nothing_reserved(self) -> None:
        """The requests in flight were lost with the router: what they reserved counts as spent."""
        for reservation in tuple(self.open):
            self.settle(reservation, reservation.estimate.tokens, reservation.estimate.cost)

    # -- alerts ---------------------------------------------------------------------------------------

    def take_alerts(self) -> list[Alert]:
        """Those raised since the last call."""
        if not self._alerts:
            return []
        alerts, self._alerts = self._alerts, []
        return alerts

    def _alert(self, limit: Limit, types: Iterable[EventType]) -> None:
        assert self.period is not None, "a limit is reached in one"
        for type in types:
            resets_at = limit.resets_at(self.period)
            self._alerts.append(Alert(type, limit.allowance, limit.spent, limit.reserved, resets_at))

    # -- how it stands --------------------------------------------------------------------------------

    def standing(self, now: float) -> list[dict[str, Any]]:
        """Every allowance as `meshctl budget` shows it: scope, name, measure, window, source, limit, spent, reserved,
        remaining, resets_at, since (both UTC s or None), period ("2026-11-23", "2026-11", ""), enforce,
        alert_threshold. Money in 10⁻⁹ USD."""
        now += self._ahead
        period = self._today(now)
        return [limit.standing(period, now) for limits in self.limits.values() for limit in limits]

    def used(self, scope: str, name: str, window: Window = "month") -> Use:
        """What was used, as of the last attempt, without reservations."""
        self.spread()
        meter, period = self.meters.get((scope, name)), self.period
        sums = None if meter is None or period is None else meter.window(window, period)
        return Use() if sums is None else Use(*sums.used)

    # -- windows --------------------------------------------------------------------------------------

    def period_of(self, now: float) -> Period:
        return self._today(now + self._ahead)

    def coming(self, days: int) -> list[Period]:
        """The days after the current one."""
        found: list[Period] = []
        while self.period is not None and len(found) < days:
            found.append(self._calendar.period(found[-1].end if found else self.period.end))
        return found

    def spread(self) -> None:
        """Bring the sums that no limit bounds up to date."""
        for route in self.lumped:
            lump, route.lump = route.lump, Sums()
            for sums in route.others:
                sums.merge(lump)
        self.lumped.clear()

    def _forget_routes(self) -> None:
        """Open attempts keep theirs and settle into each sum directly, since other limits may apply to them now."""
        self.spread()
        for route in self.routes.values():
            route.settle_straight()
        self.routes.clear()

    def _begin_anew(self) -> None:
        self._forget_routes()
        self._start = self._end = 0.0

    def _today(self, now: float) -> Period:
        """All windows of all scopes roll over together, here."""
        period = self.period
        if period is None or not self._start <= now < self._end:
            before, self.period = period, self._calendar.period(now)
            period = self.period
            self._start, self._end = period.start, period.end
            self._forget_routes()
            if before is None or before.day != period.day:
                self._forget(period)
            for key, meter in self.meters.items():
                limits = self.limits.get(key, ())
                wanted = any(limit.allowance.window == "rolling" for limit in limits)
                if wanted and meter.rolling is None:
                    meter.begin_rolling(period, now)
                for limit in limits:
                    limit.bind(period)
        return period

    def _forget(self, period: Period) -> None:
        for meter in self.meters.values():
            meter.forget(period)
        if self._apps >= MOST_APPS:
            apps = [key for key in self.meters if key[0] == "app" and key not in self.limits]
            self._drop(key for key in apps if period.month not in self.meters[key].months)

    def _drop_apps(self, surplus: int) -> None:
        """Drop the newest, if an earlier run had more than may be kept."""
        if surplus > 0:
            free = [key for key in self.meters if key[0] == "app" and key not in self.limits and key[1] != OTHERS]
            self._drop(free[-surplus:])

    def _drop(self, apps: Iterable[tuple[str, str]]) -> None:
        for key in apps:
            del self.meters[key]
            self._apps -= 1

    # -- scopes ---------------------------------------------------------------------------------------

    def _meter(self, scope: str, name: str) -> Meter:
        meter = self.meters.get((scope, name))
        if meter is None:
            meter = self.meters[scope, name] = Meter(scope, name)
            self._apps += scope == "app"
        return meter

    def _account(self, name: str) -> str:
        """Apps name themselves: beyond a certain number they share one account, except those with a limit."""
        key = ("app", name)
        return name if key in self.meters or key in self.limits or self._apps < MOST_APPS else OTHERS

    def _route(self, question: Question, model: ModelSpec) -> Route:
        now = question.now + self._ahead
        if not self._start <= now < self._end:
            self._today(now)
        key = (question.pool.name, model.id, question.requester.account)
        route = self.routes.get(key)
        if route is None or route.model is not model:
            route = self._make_route(key, model, now)
        return route

    def _make_route(self, key: tuple[str, str, str], model: ModelSpec, now: float) -> Route:
        period = self._today(now)
        pool, _, name = key
        account = self._account(name) if name else ""
        scopes = [("provider", model.provider), ("model", model.id), ("pool", pool)]
        if pool:
            scopes.append(("member", member_key(pool, model.id)))
        scopes.append(("app", account))
        meters = tuple(self._meter(*scope) for scope in scopes if scope[1])
        for meter in meters:
            if meter.scope == "member" and meter.stint is None:
                meter.stint = Sums()
        replaced = self.routes.get(key)
        if len(self.routes) >= MOST_ROUTES:
            self._forget_routes()
        elif replaced is not None:  # a request from before a reload uses its own table
            self.spread()
            replaced.settle_straight()
        limits = [limit for meter in meters for limit in self.limits.get((meter.scope, meter.name), ())]
        bounded = {id(limit.sums) for limit in limits}
        sums = sums_of(meters, period.day)
        enforced = sorted(
            (limit for limit in limits if limit.allowance.enforce), key=lambda limit: precedence(limit.allowance)
        )
        budget = next((limit for limit in enforced if limit.measure == COST), None)
        found = self.routes[key] = Route(
            model,
            account,
            meters,
            tuple(limits),
            tuple(each for each in sums if id(each) in bounded),
            tuple(each for each in sums if id(each) not in bounded),
            tuple(meter.rolling for meter in meters if meter.rolling is not None),
            tuple((limit.sums.taken, limit.measure, limit.most, limit) for limit in enforced),
            None if model.priced else budget,
            budget,
        )
        return found

    def _hold_again(self, reservation: Reservation, now: float) -> None:
        """Enter an open reservation into the sums that replaced its own, on the day it was made."""
        estimate = reservation.estimate
        meters = tuple(self._meter(meter.scope, meter.name) for meter in reservation.route.meters)
        sums = sums_of(meters, reservation.day)
        rollings = tuple(meter.rolling for meter in meters if meter.rolling is not None)
        before = reservation.route
        reservation.route = Route(before.model, before.account, meters, before.limits, sums, (), rollings)
        for each in sums:
            each.reserve(estimate.tokens, estimate.cost)
        reservation.buckets = [(rolling, rolling.reserve(estimate.tokens, estimate.cost, now)) for rolling in rollings]
