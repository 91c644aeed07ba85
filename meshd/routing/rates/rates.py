"""Rate limits: the room left at a provider, a model or a key, in a pool and for an app, and when there will be more.

Owns: what response headers said, what was sent in the last minute, what is in flight.
Must never: decide between models, queue (`fair_queue.py`), read a clock or do I/O.

Limits come from the provider's response headers where it sends them, else from the configuration, else there are
none. Rule: docs/routing.md, Rate limits and waiting.

For token limits a request counts as its input plus its expected output: the model's recent average, or
`EXPECTED_OUTPUT` while there is none, and never more than its own limit. An output limit is often the most that a model
can do: counted by it, a few requests would fill a minute that has room for hundreds. Most providers do count it, but an
error here is harmless, since a rate is not money: `leave` enters what was used, and the next response header what the
provider counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Final

from meshd.core.events.cause import Why, cause_of
from meshd.routing.rates.header_limits import LeftAlone, Observed
from meshd.routing.rates.headroom import (
    UNLIMITED,
    Headroom,
    NoRoom,
    no_room_this_minute,
    room_in,
)
from meshd.routing.rates.key_ring import KeyRing, RestingKey
from meshd.routing.rates.provider_room import headroom_of, no_room_with_key, no_room_with_keys
from meshd.routing.rates.records import Holder, ModelRecord, Pace, RateTicket, expected_tokens
from meshd.routing.rates.shares import shared
from meshd.routing.rates.sliding_window import WINDOW
from meshd.routing.request.estimate import Estimate
from meshd.routing.standing import LONGEST_KEPT, Availability
from meshd.routing.table.policies import PacingPolicy
from meshd.routing.table.specs import ModelSpec, ProviderSpec, RateSpec, RoutingTable
from meshd.sdk.provider import FailureKind, RateLimits

if TYPE_CHECKING:
    from meshd.routing.request.question import Question


_SMOOTHING: Final = 0.2  # of the average output: the last three requests make up half of it
_SWEEP_EVERY: Final = 60.0  # s
_IDLE = 3600.0  # s after which a model's record is dropped


class Rates:
    """For all providers, models, pools and apps. A limit counts from the moment it was configured."""

    def __init__(self) -> None:
        self.providers: dict[str, Holder] = {}
        self.models: dict[str, ModelRecord] = {}
        self._told: set[str] = set()  # models with a limit from a header
        self.apps: dict[str, Holder] = {}  # apps choose their names: kept only while they have sent something
        self.paces: dict[tuple[str, str], Pace] = {}
        self._life = 0
        self._sweep_at = 0.0
        self._table: RoutingTable | None = None

    def configure(self, table: RoutingTable) -> None:
        """Use these limits and keys from now on, also for requests that began before."""
        self._table = table

    def _of_now(self, question: Question, provider: str) -> tuple[ProviderSpec, RateSpec, PacingPolicy]:
        """The provider, and the limits of app and pool, by the latest configuration if they still exist, as they are
        for this request."""
        before, now, requester = question.table, self._table or question.table, question.requester
        app, pool, spec = requester.app, question.pool, before.providers[provider]
        if before is not now:
            app, pool = now.apps.get(app.name, app), now.pools.get(pool.name, pool)
            spec = now.providers.get(provider) or spec
        if requester.share < 1.0:
            return shared(spec, app.rate, pool.pacing, requester.share)
        return spec, app.rate, pool.pacing

    # -- one attempt ----------------------------------------------------------------------------------

    def no_room(self, question: Question, model: ModelSpec, *, resting: bool = True) -> NoRoom | None:
        """Why `model` has no room for this request now, None when it has. Changes nothing. resting: False: ignore what
        may be tested sooner (`rests`)."""
        spec, app, pacing = self._of_now(question, model.provider)
        provider, most = self.providers.get(model.provider), spec.rate.concurrency
        if most is not None and provider is not None and provider.in_flight >= most:
            return NoRoom(f"{spec.name} is at its concurrency limit of {most}", None)
        record = self.models.get(model.id)
        if record is not None and record.left_alone is not None and question.pool.retry.honor_retry_after:
            left = record.left_alone.left(question.now)
            if left is not None and (resting or record.left_alone.kept):
                return NoRoom(f"{spec.name} asked us to pause {model.id}; {room_in(left)}", left, told=True)
        tokens = 0
        if spec.rate.tpm is not None or app.tpm is not None or (record is not None and record.limits_tokens):
            tokens = expected_tokens(question.estimate(model), record)
        if _is_limited(app):
            no_room = self._no_room_for_app(question, app, tokens)
            if no_room is not None:
                return no_room
        if pacing.min_delta is not None or pacing.max_rpm is not None:
            no_room = self._no_room_by_pacing(question, pacing, model)
            if no_room is not None:
                return no_room
        if spec.keys:
            operator = question.requester.operator
            return no_room_with_keys(spec, provider, model, record, tokens, question.now, resting, operator)
        if spec.rate.rpm is None and spec.rate.tpm is None and model.id not in self._told:
            return None  # no limit is known
        return no_room_with_key("", spec, provider, model, record, tokens, question.now)

    def rests(self, question: Question, model: ModelSpec) -> Sequence[Availability]:
        """What blocks the model although it may be tested: its provider asked for a long pause, or refused all its
        keys."""
        record, provider = self.models.get(model.id), self.providers.get(model.provider)
        alone = record.left_alone if record is not None and question.pool.retry.honor_retry_after else None
        keys = provider.keys if provider is not None else None
        if alone is None and keys is None:
            return ()  # nearly always
        found: list[Availability] = []
        if alone is not None and alone.left(question.now) is not None and not alone.kept:
            found.append(alone.rest)
        if keys is not None:
            all_rest = keys.all_rest(question.now)
            if all_rest is not None and all_rest.retry_at < all_rest.until:
                found.append(all_rest)
        return found

    def enter(self, question: Question, model: ModelSpec, estimate: Estimate) -> RateTicket:
        """Take a place (and, if the provider has several keys, choose one by weight). The caller has just had None from
        `no_room`, or asks regardless (a retry that the provider itself timed)."""
        now, requester = question.now, question.requester
        spec, of_app, pacing = self._of_now(question, model.provider)
        if now >= self._sweep_at or now < self._sweep_at - 2 * _SWEEP_EVERY:
            self._sweep(now)
        provider, record = _made(self.providers, spec.name, Holder), _made(self.models, model.id, ModelRecord)
        record.used_at = now
        tokens = expected_tokens(estimate, record)
        ticket = RateTicket(model, question.pool.name, requester.account, estimate, now, tokens=tokens)
        if spec.keys:
            ring = provider.keys = provider.keys or KeyRing()
            ring.configure(spec.keys)
            room: Callable[[str], bool] = lambda id: (  # noqa: E731 - of this attempt alone
                no_room_with_key(id, spec, provider, model, record, tokens, now) is None
            )
            ticket.key = ring.take(now, room, requester.session)
        ticket.record, ticket.life = record, self._life
        observed = ticket.observed = _made(record.observed, ticket.key, Observed)
        ticket.number = observed.enter(tokens, now)
        ticket.mark = observed.tokens
        provider.in_flight += 1
        ticket.holders = (provider,)
        if spec.rate.rpm is not None or spec.rate.tpm is not None:
            ticket.counted = ((provider.window, provider.window.add(now, tokens)),)
        if _is_limited(of_app):
            app = _made(self.apps, requester.account, Holder)
            app.in_flight += 1
            ticket.holders = (provider, app)
            ticket.counted += ((app.window, app.window.add(now, tokens)),)
        self._pace(question, pacing, model)
        return ticket

    def leave(self, ticket: RateTicket, tokens: int | None = None, *, sent: bool = True) -> None:
        """The attempt ended. tokens: how many it used, None: unknown, the estimate stays. sent: False: it never left,
        and does not count. Idempotent."""
        if ticket.left:
            return
        ticket.left = True
        if ticket.life == self._life:
            for holder in ticket.holders:
                holder.in_flight -= 1
        if not sent:
            for window, entered in ticket.counted:
                window.take_back(entered)
            if ticket.observed is not None:
                ticket.observed.take_back(ticket.number)
        if tokens is None:
            return
        record, observed = ticket.record, ticket.observed
        assert record is not None
        assert observed is not None
        for window, entered in ticket.counted:
            window.correct(entered, tokens)
        observed.correct(ticket.number, tokens - ticket.tokens)
        if tokens:  # 0: it failed, and says nothing about the model's answers
            output = float(max(tokens - ticket.estimate.tokens_in, 0))
            before = record.output
            record.output = output if before is None else before + _SMOOTHING * (output - before)

    def observe(self, ticket: RateTicket, limits: RateLimits | None, now: float) -> None:
        """What the response headers said."""
        if limits is None:
            return
        record, observed = ticket.record, ticket.observed
        assert record is not None
        assert observed is not None
        observed.observe(limits, ticket.number, ticket.mark, now)
        record.limits_tokens = record.limits_tokens or limits.remaining_tokens is not None
        if record.limits_tokens or limits.remaining_requests is not None:
            self._told.add(ticket.model.id)

    def headrooms(self, question: Question, members: Sequence[ModelSpec]) -> list[Headroom]:
        """`headroom` of each of the pool's members. A model without headers of its own, in a pool without pacing, has
        its provider's."""
        if question.pool.pacing.max_rpm is not None:
            return [self.headroom(question, model) for model in members]
        told = self._told
        one_of_each = {model.provider: model for model in members if model.id not in told}
        of_providers = {name: self._by_configuration(question, model) for name, model in one_of_each.items()}
        return [
            self.headroom(question, model) if model.id in told else of_providers[model.provider] for model in members
        ]

    def headrooms_of_providers(
        self, question: Question, ids: Set[str], one_of_each: Sequence[ModelSpec]
    ) -> list[Headroom] | None:
        """The same for each provider, if all its models in the pool have its headroom; None if some have their own.
        ids: of the pool's members. one_of_each: a model of each provider."""
        if question.pool.pacing.max_rpm is not None or not self._told.isdisjoint(ids):
            return None
        return [self._by_configuration(question, model) for model in one_of_each]

    def _by_configuration(self, question: Question, model: ModelSpec) -> Headroom:
        """`headroom` if no header gave a limit and the pool does not pace: the same, in fewer steps."""
        spec, provider = question.table.providers[model.provider], self.providers.get(model.provider)
        rate = spec.rate
        if spec.keys or rate.tpm is not None or rate.concurrency is not None:
            return self.headroom(question, model)
        if rate.rpm is None:
            return UNLIMITED
        used = 0
        if provider is not None:
            provider.window.expire(question.now)
            used = len(provider.window)
        left = max(rate.rpm - used, 0)
        return Headroom(left / rate.rpm if rate.rpm else 0.0, float(left))

    def leave_alone(
        self, ticket: RateTicket, now: float, for_seconds: float, reason: str = "", longer: bool = False
    ) -> None:
        """A refusal had a `Retry-After`: no request is sent sooner, in pools that honour it. If the provider has
        several keys, only the key is set aside."""
        record = ticket.record
        assert record is not None
        known = record.left_alone
        if known is not None and known.left(now) is None:
            known = None
        if not ticket.key and (known is None or now + for_seconds > known.until):
            rest = None if known is None else known.rest
            record.left_alone = LeftAlone(now, now + for_seconds, reason, longer, rest)
        elif known is not None and for_seconds <= LONGEST_KEPT:
            known.rest.retry_at = max(known.rest.retry_at, now + for_seconds)

    def answered(self, ticket: RateTicket | None) -> None:
        """A request was answered: a pause that the provider had asked for, or the refusal of its key, is over."""
        if ticket is None or ticket.record is None:
            return
        alone, provider = ticket.record.left_alone, self.providers.get(ticket.model.provider)
        if alone is not None and ticket.at > alone.since:
            ticket.record.left_alone = None
        if ticket.key and provider is not None and provider.keys is not None:
            provider.keys.answered(ticket.key, ticket.at)

    def left_alone(self, model: str, now: float) -> LeftAlone | None:
        """The pause that its provider asked for, while it lasts."""
        record = self.models.get(model)
        rest = None if record is None else record.left_alone
        return rest if rest is not None and rest.left(now) is not None else None

    def load_left_alone(self, model: str, saved: Any, now: float) -> None:
        """Restore a pause that was asked for before a restart."""
        rest = LeftAlone.load(saved, now)
        if rest is not None:
            _made(self.models, model, ModelRecord).left_alone = rest

    def reset(self, model: ModelSpec) -> None:
        """An operator says that the model works: it and its provider's keys are tried again, whatever was reported."""
        self.reset_keys(model.provider)
        record = self.models.get(model.id)
        if record is not None:
            record.left_alone = None

    def headroom(self, question: Question, model: ModelSpec) -> Headroom:
        """For `rate-limit-aware` and `load-balanced`: by the provider's limits and the pool's. An app's own limits are
        the same for every model, and left out."""
        spec, provider = question.table.providers[model.provider], self.providers.get(model.provider)
        most, pace = question.pool.pacing.max_rpm, None
        if most is not None:
            pace = self.paces.get((question.pool.name, model.id), Pace())
        return headroom_of(spec, provider, self.models.get(model.id), pace, most, question.now)

    def nothing_in_flight(self) -> None:
        """The requests in flight were lost with the router."""
        self._life += 1  # if one of them still ends, it no longer counts
        for holder in (*self.providers.values(), *self.apps.values()):
            holder.in_flight = 0
            if holder.keys is not None:
                holder.keys.nothing_in_flight()
        for record in self.models.values():
            if record.left_alone is not None:
                record.left_alone.rest.tester = None

    # -- keys -----------------------------------------------------------------------------------------

    def key_refused(
        self, ticket: RateTicket, reason: str, kind: FailureKind, now: float, for_seconds: float, told: float = 0.0
    ) -> bool:
        """A provider with several keys refused this one: only that key is set aside. Returns True while another is
        usable.

        for_seconds: infinite: until `reset_keys`. told: seconds that the provider asked for. With a single key it
        returns False and sets nothing aside. Keys that are set aside only for their rate are reported by `no_room`.
        """
        provider = self.providers.get(ticket.model.provider)
        if not ticket.key or provider is None or provider.keys is None:
            return False
        rest = RestingKey(ticket.key, Why(cause_of(kind), kind, reason), now + for_seconds, now, now + told)
        return provider.keys.refuse(rest, now)

    def resting_keys(self, provider: str, now: float) -> list[RestingKey]:
        """For views: fingerprints, never keys."""
        holder = self.providers.get(provider)
        return [] if holder is None or holder.keys is None else holder.keys.resting(now)

    def reset_keys(self, provider: str) -> bool:
        """An operator or a probe says that the provider works: try all its keys again. Returns True if one was set
        aside."""
        holder = self.providers.get(provider)
        return holder is not None and holder.keys is not None and holder.keys.reset()

    def dump_keys(self, now: float, ahead: float = 0.0) -> dict[str, list[dict[str, Any]]]:
        """For a restart: provider → its keys that are set aside, with wall-clock times. Empty if there are none."""
        return {
            name: dumped
            for name, each in self.providers.items()
            if each.keys and (dumped := each.keys.dump(now, ahead))
        }

    def load_keys(self, saved: Mapping[str, list[dict[str, Any]]], now: float) -> None:
        for name, keys in saved.items():
            holder = _made(self.providers, name, Holder)
            holder.keys = holder.keys or KeyRing()
            holder.keys.load(keys, now)

    # -- why there is no room -------------------------------------------------------------------------

    def _no_room_for_app(self, question: Question, rate: RateSpec, tokens: int) -> NoRoom | None:
        account = question.requester.account
        app = self.apps.get(account)
        if app is None:
            return None
        if rate.concurrency is not None and app.in_flight >= rate.concurrency:
            return NoRoom(f"app {account} is at its concurrency limit of {rate.concurrency}", None)
        return no_room_this_minute(f"app {account}", app.window, rate.rpm, rate.tpm, tokens, question.now)

    def _no_room_by_pacing(self, question: Question, pacing: PacingPolicy, model: ModelSpec) -> NoRoom | None:
        pool, now = question.pool, question.now
        pace = self.paces.get((pool.name, model.id))
        if pace is None:
            return None
        delta = pacing.min_delta
        if delta is not None and pace.last <= now < pace.last + delta:
            wait = pace.last + delta - now
            return NoRoom(f"pool {pool.name} sends {model.id} a request every {delta:g} s; {room_in(wait)}", wait)
        return no_room_this_minute(f"pool {pool.name} at {model.id}", pace.window, pacing.max_rpm, None, 0, now)

    # -- records --------------------------------------------------------------------------------------

    def _pace(self, question: Question, pacing: PacingPolicy, model: ModelSpec) -> None:
        now = question.now
        if pacing.min_delta is None and pacing.max_rpm is None:
            return
        pace = _made(self.paces, (question.pool.name, model.id), Pace)
        pace.last, pace.forget_at = now, now + max(pacing.min_delta or 0.0, WINDOW)
        if pacing.max_rpm is not None:
            pace.window.add(now, 0)

    def _sweep(self, now: float) -> None:
        """Drop the records that no longer matter."""
        self._sweep_at = now + _SWEEP_EVERY
        for app in self.apps.values():
            app.window.expire(now)
        self.apps = {name: app for name, app in self.apps.items() if app.in_flight or len(app.window)}
        self.paces = {key: pace for key, pace in self.paces.items() if pace.forget_at > now}
        self.models = {
            id: model
            for id, model in self.models.items()
            if model.used_at + _IDLE > now or (model.left_alone is not None and model.left_alone.left(now) is not None)
        }
        self._told &= self.models.keys()


def _made(records: dict[Any, Any], name: Any, make: Callable[[], Any]) -> Any:
    found = records.get(name)
    if found is None:
        found = records[name] = make()
    return found


def _is_limited(rate: RateSpec) -> bool:
    return rate.rpm is not None or rate.tpm is not None or rate.concurrency is not None
