"""The decision: which model of a pool to ask now, and why not the others.

Owns: the order of stages, the choice, and its explanation.
Must never: send anything, or wait; `plan.py` makes a request out of decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from meshd.routing.availability.recovery import recovers_in, tried_again_in
from meshd.routing.availability.state import Availability, MeshState, availabilities
from meshd.routing.decision import features
from meshd.routing.decision.maintenance import MaintenanceStage, ends_in
from meshd.routing.decision.stages import (
    AccessStage,
    BudgetStage,
    CapabilityStage,
    DeliveryStage,
    FeatureStage,
    LimitStage,
    SelectStage,
    Stage,
    StateStage,
)
from meshd.routing.decision.strategies.base import Context, Strategy
from meshd.routing.decision.strategies.registry import BUILT_IN
from meshd.routing.decision.strategies.scored import Scored
from meshd.routing.request.features import used
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, PoolSpec


def standard_stages(state: MeshState) -> list[Stage]:
    return [
        CapabilityStage(),
        DeliveryStage(),
        FeatureStage(),
        AccessStage(),
        StateStage(state),
        MaintenanceStage(state),
        SelectStage(state),
        BudgetStage(state.accounts),
        LimitStage(state.rates),  # the last: a model that only this one drops may be waited for
    ]


@dataclass(slots=True)
class Dropped:
    model: str
    stage: str
    reason: str
    permanent: bool


@dataclass(slots=True)
class Decision:
    """`model` to ask, or None with every member's reason."""

    model: ModelSpec | None
    dropped: list[Dropped] = field(default_factory=list)


@dataclass(slots=True)
class StageReport:
    """remarks: why some of those kept are asked after others."""

    name: str
    kept: list[str]
    dropped: list[Dropped]
    remarks: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Explanation:
    """The stages with what each kept and dropped, up to one that kept nothing; the order of the remaining models; the
    choice."""

    stages: list[StageReport]
    order: list[str]
    chosen: str | None


class Pipeline:
    """The stages in order, and the strategies by name. One instance serves all pools.

    strategies: how each is made, for this pipeline; those of other packages are added.
    """

    def __init__(
        self,
        state: MeshState,
        stages: Iterable[Stage] | None = None,
        strategies: Mapping[str, Callable[[Context], Strategy]] = BUILT_IN,
    ) -> None:
        self.state = state
        self._stages = list(standard_stages(state) if stages is None else stages)
        self._up = StateStage(state)
        self._strategies: dict[str, Strategy] = {}
        self._scored: dict[str, Strategy] = {}
        for name, make in strategies.items():
            self.add_strategy(name, make(self))

    @property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(self._stages)

    def add_stage(self, stage: Stage, before: str | None = None) -> None:
        """Put a stage before the one named, or at the end. Raises KeyError for an unknown name."""
        self._stages.insert(len(self._stages) if before is None else self._position(before), stage)

    def remove_stage(self, name: str) -> None:
        """Raises KeyError for an unknown name."""
        del self._stages[self._position(name)]

    def _position(self, name: str) -> int:
        for index, stage in enumerate(self._stages):
            if stage.name == name:
                return index
        raise KeyError(f"no stage {name!r}; there are {', '.join(stage.name for stage in self._stages)}")

    # -- strategies -----------------------------------------------------------------------------------

    def add_strategy(self, name: str, strategy: Strategy) -> None:
        """Made for this pipeline. Raises ValueError if there is one of that name."""
        if name in self._strategies:
            raise ValueError(f"there is a strategy {name!r} already")
        self._strategies[name] = strategy
        self._scored[name] = Scored(self, strategy)

    def strategy(self, name: str) -> Strategy | None:
        """None: there is none of that name."""
        return self._strategies.get(name)

    def strategy_of(self, pool: PoolSpec) -> Strategy:
        """The pool's own, after the score of its `select` if that is live."""
        if pool.select is not None and pool.select.scores:
            return self._scored[pool.strategy]
        return self._strategies[pool.strategy]

    def is_up(self, question: Question, model: str) -> bool:
        return self._up.objection(question.table.models[model], question) is None

    def down_because(self, question: Question, model: ModelSpec) -> str | None:
        return self._up.objection(model, question)

    # -- deciding -------------------------------------------------------------------------------------

    def decide(
        self, question: Question, exclude: Collection[str] = (), only: Callable[[ModelSpec], bool] | None = None
    ) -> Decision:
        """The best model that passes every stage. `exclude`: ids tried already; `only`: a further condition."""
        models = question.table.models
        dropped: list[Dropped] = []
        for model_id in self.preferred(question):
            if model_id in exclude:
                continue
            model = models[model_id]
            if only is not None and not only(model):
                dropped.append(Dropped(model_id, "retry scope", "outside retry.scope", True))
                continue
            objection = self._objection(model, question)
            if objection is None:
                return Decision(model, dropped)
            dropped.append(objection)
        return Decision(None, dropped)

    def preferred(self, question: Question) -> Iterator[str]:
        """The members, best first: those that declare what the request uses, each group by the pool's strategy."""
        order = self.strategy_of(question.pool).order(question)
        uses = used(question.needs)
        return features.declared_first(order, question, uses, self.state.models) if uses else order

    def take(self, question: Question, model: ModelSpec) -> str | None:
        """Record that `model` is asked now; returns the model that the pool leaves for it, if it does."""
        return self.strategy_of(question.pool).chosen(question, model.id)

    def explain(self, question: Question) -> Explanation:
        """Ask each stage about every member that the earlier stages kept, up to the stage that keeps none."""
        models = question.table.models
        left = list(question.pool.members)
        reports: list[StageReport] = []
        for stage in self._stages:
            kept: list[str] = []
            dropped: list[Dropped] = []
            for model_id in left:
                reason = stage.objection(models[model_id], question)
                if reason is None:
                    kept.append(model_id)
                else:
                    dropped.append(Dropped(model_id, stage.name, reason, stage.permanent))
            remarks = features.remarks(question, kept, self.state.models) if stage.name == FeatureStage.name else {}
            reports.append(StageReport(stage.name, kept, dropped, remarks))
            left = kept
            if not left:
                break
        remaining = set(left)
        order = [model_id for model_id in self.preferred(question) if model_id in remaining]
        return Explanation(reports, order, order[0] if order else None)

    def _objection(self, model: ModelSpec, question: Question) -> Dropped | None:
        for stage in self._stages:
            reason = stage.objection(model, question)
            if reason is not None:
                return Dropped(model.id, stage.name, reason, stage.permanent)
        return None

    # -- the other models -----------------------------------------------------------------------------

    def soonest_recovery(self, question: Question, models: Iterable[str], *, untested: bool = False) -> float | None:
        """Seconds until the first of these may be tried; None if none comes back by itself. untested: until its
        cooldown ends, though it may be tested sooner if no other can answer."""
        rests_for = recovers_in if untested else tried_again_in
        waits = [self._recovers_in(question, model, rests_for) for model in models]
        return min((wait for wait in waits if wait is not None), default=None)

    def _recovers_in(
        self, question: Question, model_id: str, rests_for: Callable[[Availability, float], float | None]
    ) -> float | None:
        state, model = self.state, question.table.models[model_id]
        if state.model(model_id).deactivated is not None or question.table.providers[model.provider].disabled:
            return None
        longest = ends_in(question.pool, question.now + state.ahead, question.table.timezone) or 0.0
        for availability in availabilities(state, question.pool.name, model_id, model.provider):
            wait = rests_for(availability, question.now)
            if wait is None:
                return None
            longest = max(longest, wait)
        return longest

    def able(self, question: Question, limit: int = 10) -> list[str]:
        """Models in any pool that could serve the request, for the error that lists them."""
        permanent = [stage for stage in self._stages if stage.permanent]
        could = (
            model.id
            for model in question.table.models.values()
            if all(stage.objection(model, question) is None for stage in permanent)
        )
        ordered = features.declared_first(could, question, used(question.needs), self.state.models)
        return list(islice(ordered, limit))
