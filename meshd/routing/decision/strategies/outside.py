"""Strategies of other packages, which get a narrow view of the pool and cannot make a request fail.

Owns: the view, the check of the answer, and the fallback to the default strategy.
Must never: pass on an exception of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from meshd.core.money import dollars
from meshd.core.text.exceptions import one_line
from meshd.routing.decision.strategies.base import ByRequest, Context, Strategy
from meshd.routing.request.features import used
from meshd.routing.request.question import Question
from meshd.routing.table.specs import DEFAULT_STRATEGY
from meshd.sdk import strategy as sdk

Report = Callable[[str, str], None]
"""(pool, why its strategy is set aside)"""


class OutsideStrategy(ByRequest):
    """One id, with an object for each pool that names it."""

    def __init__(self, context: Context, report: Report) -> None:
        super().__init__(context)
        self._context = context
        self._report = report
        self._pools: dict[str, sdk.Strategy] = {}

    def use(self, pools: Mapping[str, sdk.Strategy]) -> None:
        """From now on. A pool that has none is ordered by the default strategy."""
        self._pools = dict(pools)

    def order(self, question: Question) -> Iterator[str]:
        strategy = self._pools.get(question.pool.name)
        if strategy is not None:
            try:
                named = _named(strategy, question, self._candidates(question))
            except (Exception, SystemExit) as error:  # third-party code may raise anything
                self._set_aside(question.pool.name, one_line(error))
            else:
                yield from named
                yield from (model for model in question.pool.members if model not in named)
                return
        yield from self._default.order(question)

    def chosen(self, question: Question, model: str) -> str | None:
        if question.pool.name not in self._pools:
            return self._default.chosen(question, model)
        return super().chosen(question, model)

    @property
    def _default(self) -> Strategy:
        found = self._context.strategy(DEFAULT_STRATEGY)
        assert found is not None, "the default strategy is built in"
        return found

    def _set_aside(self, pool: str, why: str) -> None:
        del self._pools[pool]
        self._report(pool, why)

    def _candidates(self, question: Question) -> list[sdk.Candidate]:
        specs = [question.table.models[model] for model in question.pool.members]
        headrooms = self._state.rates.headrooms(question, specs)
        current = self._state.pool(question.pool.name).current
        found = []
        for spec, headroom in zip(specs, headrooms, strict=True):
            known = self._state.model(spec.id)
            asked = known.last_request
            found.append(
                sdk.Candidate(
                    id=spec.id,
                    provider=spec.provider,
                    up=self._is_up(question, spec.id),
                    current=spec.id == current,
                    weight=spec.weight,
                    cost=dollars(question.estimate(spec).cost) if spec.priced else None,
                    first_token=known.first_token.smoothed,
                    total=known.total.smoothed,
                    headroom=headroom.fraction,
                    in_flight=known.in_flight,
                    idle=None if asked is None else max(question.now - asked, 0.0),
                )
            )
        return found


def _named(strategy: sdk.Strategy, question: Question, candidates: list[sdk.Candidate]) -> list[str]:
    """The strategy's answer. Raises anything; ValueError for an answer that is not an order of the pool's models."""
    needs, requester = question.needs, question.requester
    facts = sdk.RequestFacts(
        operation=str(needs.operation),
        stream=needs.stream,
        input_tokens=needs.tokens,
        max_output_tokens=needs.max_output,
        images=needs.images,
        uses=used(needs),
        session=requester.session,
        app=requester.app.name,
    )
    answer = strategy.order(facts, candidates, question.now, requester.random)
    if isinstance(answer, str):
        raise ValueError(f"it answered with the text {answer!r}, not with a list of ids")
    # An endless answer is read only as far as there are models.
    named = list(islice(answer, len(candidates)))
    for model in named:
        if not isinstance(model, str) or model not in question.pool.positions:
            raise ValueError(f"it named {model!r}, which is not a model of the pool")
    if len(set(named)) < len(named):
        raise ValueError("it named a model twice")
    return named
