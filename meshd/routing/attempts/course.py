"""One request in progress: what it asks for, which models it may still ask, and what its attempts have shown so far.

Must never: decide what comes next (`plan.py`), wait, send or read a clock.
"""

from __future__ import annotations

from collections.abc import Callable

from meshd.routing.attempts.book import AttemptBook
from meshd.routing.attempts.counters import Counters
from meshd.routing.availability.state import Change, availabilities
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.request.question import Question
from meshd.routing.standing import Availability
from meshd.routing.table.access import pools_to_try
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec
from meshd.sdk.provider import ProviderFailure

LAST_ATTEMPTS = 8
"""Failed attempts of one request at one model that answers other requests, if no other model can answer and
`retry.max_attempts` allows more than one."""
LAST_COSTLY = 6
"""The same for attempts that may have cost something, whether other requests are answered or not."""


class Course:
    """deadline: UTC seconds. latest: what it becomes with the first chunk of a stream. `changes` collects what attempts
    did to availability. pool: the one in use, the request's own or one of its fallback pools.

    By model: tries: attempts; not_before: when one that failed may be asked again (UTC s); failed_at: when it failed
    last; alone: how often it failed while it answered others; costly: failed attempts that may have cost something;
    refusals: refused attempts. given_up: not asked again; spent: asked again if no other can answer. refused_keys: by
    provider. told_by: the outcome of another request's test, which answers this one.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        counters: Counters,
        question: Question,
        deadline: float,
        latest: float | None = None,
    ) -> None:
        pool, now = question.pool, question.now
        self._asked = question
        self.pipeline = pipeline
        self.table = question.table
        self.state = pipeline.state
        self.pool = pool
        self.needs = question.needs
        self.requester = question.requester
        limit = pool.retry.deadline
        self.deadline = deadline if limit is None else min(deadline, now + limit)
        latest = deadline if latest is None else latest
        self.latest = latest if limit is None else min(latest, now + limit)
        self.arrived = now
        self.book = AttemptBook(self.state, counters)
        self.attempts = self.book.done
        self.changes: list[Change] = []
        self.rotations = 0
        self.retries = 0
        self.hedges = 0
        self.pools = pools_to_try(pool, self.requester.app, self.table) if pool.fallback_pools else [pool]
        self.tries: dict[str, int] = {}
        self.given_up: set[str] = set()
        self.spent: set[str] = set()
        self.not_before: dict[str, float] = {}
        self.failed_at: dict[str, float] = {}
        self.alone: dict[str, int] = {}
        self.costly: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.refused_keys: dict[str, set[str]] = {}
        self.told_by: tuple[ModelSpec, Availability] | None = None
        self.first: ModelSpec | None = None
        self.last: ModelSpec | None = None
        self.failure: ProviderFailure | None = None
        self.stays = False  # a back-off at the model that failed is worth waiting for
        self.fatal = False
        self.once = False  # it may have been carried out, and may not be asked again
        self.late = False  # whether the request's deadline ended an attempt
        self.shortages = 0  # attempts in a row that this machine could not send
        self.short_since = now

    def question(self, now: float, pool: PoolSpec | None = None) -> Question:
        pool, asked = pool or self.pool, self._asked
        if asked.now == now and asked.pool is pool and asked.needs is self.needs:
            return asked  # nearly every request is answered by its first attempt
        return Question(self.table, pool, self.needs, now, self.requester)

    def provider_of(self, model: ModelSpec) -> ProviderSpec:
        return self.table.providers[model.provider]

    def scope(self) -> Callable[[ModelSpec], bool] | None:
        """`retry.scope`: which models may still be asked."""
        first = self.first
        if first is None or self.pool.retry.scope == "any":
            return None
        if self.pool.retry.scope == "same_model":
            return lambda model: model.id == first.id
        return lambda model: model.provider == first.provider

    def may_test(self, model: str, pool: PoolSpec) -> bool:
        """Whether this request may ask the model once more, if no other can answer and retries are on: as long as it
        may wait, but only a few times if attempts may cost something, or if the model answers other requests."""
        tries, most = self.tries.get(model, 0), pool.retry.max_attempts
        if tries < max(most, 1):
            return True
        if most <= 1 or self.costly.get(model, 0) >= max(most, LAST_COSTLY):
            return False
        return self.alone.get(model, 0) < max(most, LAST_ATTEMPTS)

    def may_be_asked_again(self, model: str) -> bool:
        return (
            model in self.not_before
            and model not in self.given_up
            and self.not_before[model] < self.deadline
            and self.state.model(model).deactivated is None
        )

    def is_back(self, model: str) -> bool:
        """Whether the model has worked since it failed this request, so that there is no need to back off."""
        failed = self.failed_at.get(model)
        if failed is None:
            return False
        provider = self.table.models[model].provider
        return any(
            each.recovered_at > failed and not each.standby
            for pool in self.pools
            for each in availabilities(self.state, pool.name, model, provider)
        )
