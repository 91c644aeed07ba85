"""The decision: which model of a pool to ask now, and why not the others.

Owns: the order of stages, the choice, and its explanation.
Must never: send anything, or wait; `plan.py` makes a request out of decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from meshd.routing.availability.state import MeshState
from meshd.routing.decision import features
from meshd.routing.decision.stages.access import AccessStage
from meshd.routing.decision.stages.base import Drop, Dropped, ModelStatus, Stage
from meshd.routing.decision.stages.budget import BudgetStage
from meshd.routing.decision.stages.capability import CapabilityStage, DeliveryStage
from meshd.routing.decision.stages.credential import CredentialStage
from meshd.routing.decision.stages.features import FeatureStage
from meshd.routing.decision.stages.limits import LimitStage
from meshd.routing.decision.stages.maintenance import MaintenanceStage
from meshd.routing.decision.stages.select import SelectStage
from meshd.routing.decision.stages.state import StateStage
from meshd.routing.decision.strategies.base import MakeStrategy, Strategy
from meshd.routing.decision.strategies.scored import Scored
from meshd.routing.request.features import used
from meshd.routing.request.question import Question
from meshd.routing.table.access import allowed_models
from meshd.routing.table.specs import ModelSpec, PoolSpec
from modelmesh.errors import MeshError


def standard_stages(state: MeshState) -> list[Stage]:
    return [
        AccessStage(),  # first, so that no other says anything about a model that the app may not use
        CredentialStage(),
        CapabilityStage(),
        DeliveryStage(),
        FeatureStage(state),
        StateStage(state),
        MaintenanceStage(state),
        SelectStage(state),
        BudgetStage(state),
        LimitStage(state.rates),  # last: a model that only this one drops may be waited for
    ]


class _RetryScope(Stage):
    """`retry.scope`, which follows from the request's own attempts."""

    name = "retry scope"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str:
        return "outside retry.scope"


_SCOPE: Final = _RetryScope()


class Decision(NamedTuple):
    """`model` to ask, or None with every member's reason."""

    model: ModelSpec | None
    dropped: list[Dropped]


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

    strategies: how each is made for this pipeline; those of other packages are added. permanent: the stages whose
    reasons do not pass by waiting; at_retry: those that a request asks again before a retry at the same model; at_test:
    before it tests a model on standby.
    """

    def __init__(
        self,
        state: MeshState,
        strategies: Mapping[str, MakeStrategy],
        stages: Iterable[Stage] | None = None,
    ) -> None:
        self.state = state
        self.stages = stages = tuple(standard_stages(state) if stages is None else stages)
        self.permanent = [stage for stage in stages if stage.permanent]
        self.at_retry = [stage for stage in stages if not stage.permanent and not stage.by_record]
        self.at_test = [stage for stage in stages if not stage.testable and not stage.queued]
        self._testable = [stage for stage in stages if stage.testable]
        self._clearing = [stage for stage in stages if not stage.permanent and not stage.queued]
        self._strategies: dict[str, Strategy] = {}
        self._scored: dict[str, Strategy] = {}
        for name, make in strategies.items():
            self.add_strategy(name, make(self))

    # -- strategies -----------------------------------------------------------------------------------

    def add_strategy(self, name: str, strategy: Strategy) -> None:
        """Add a strategy, made for this pipeline. Raises ValueError if there is one of that name."""
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
        return self.down_because(question, question.table.models[model]) is None

    def down_because(self, question: Question, model: ModelSpec) -> str | None:
        for stage in self._testable:
            reason = stage.objection(model, question)
            if reason is not None:
                return reason
        return None

    def status(self, question: Question, model: ModelSpec) -> ModelStatus | None:
        """From the first stage that has something to report about it, whatever a request needs; None: it is active."""
        for stage in self.stages:
            found = stage.status(model, question)
            if found is not None:
                return found
        return None

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
                dropped.append(Dropped(model_id, _SCOPE, _SCOPE.objection(model, question)))
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

    def chosen(self, question: Question, model: ModelSpec) -> str | None:
        """Record that `model` is asked now; returns the model that the pool leaves for it, if it does."""
        return self.strategy_of(question.pool).chosen(question, model.id)

    def explain(self, question: Question) -> Explanation:
        """Ask each stage about every member that the earlier stages kept, up to the stage that keeps none."""
        models = question.table.models
        left = list(question.pool.members)
        reports: list[StageReport] = []
        for stage in self.stages:
            kept: list[str] = []
            dropped: list[Dropped] = []
            for model_id in left:
                reason = stage.objection(models[model_id], question)
                if reason is None:
                    kept.append(model_id)
                else:
                    dropped.append(Dropped(model_id, stage, reason))
            reports.append(StageReport(stage.name, kept, dropped, stage.remarks(kept, question)))
            left = kept
            if not left:
                break
        remaining = set(left)
        order = [model_id for model_id in self.preferred(question) if model_id in remaining]
        return Explanation(reports, order, order[0] if order else None)

    def _objection(self, model: ModelSpec, question: Question) -> Dropped | None:
        for stage in self.stages:
            reason = stage.objection(model, question)
            if reason is not None:
                return Dropped(model.id, stage, reason)
        return None

    # -- the other models -----------------------------------------------------------------------------

    def clears_in(self, question: Question, dropped: Dropped, *, untested: bool = False) -> float | None:
        """Seconds until the model may be asked; 0: perhaps now; None: not by itself. untested: until it needs no test,
        though it may be tested sooner if no other can answer."""
        if dropped.permanent:
            return None
        own, model = dropped.stage, question.table.models[dropped.model]
        wait = own.clears_in(model, question, untested=untested)
        others = self._clears_in(question, model, (stage for stage in self._clearing if stage is not own), untested)
        return None if wait is None or others is None else max(wait, others)

    def recovers_in(self, question: Question, model: ModelSpec) -> float | None:
        """The same for a model whatever drops it, apart from its limits."""
        return self._clears_in(question, model, self._clearing)

    @staticmethod
    def _clears_in(
        question: Question, model: ModelSpec, stages: Iterable[Stage], untested: bool = False
    ) -> float | None:
        longest = 0.0
        for stage in stages:
            wait = stage.clears_in(model, question, untested=untested, dropped=False)
            if wait is None:
                return None
            longest = max(longest, wait)
        return longest

    def refuses(self, question: Question, decision: Decision) -> MeshError | None:
        """The error if one of the dropped models ends the request, though others might answer it."""
        for dropped in decision.dropped:
            error = dropped.stage.refuses(question.table.models[dropped.model], question)
            if error is not None:
                return error
        return None

    def error(self, drops: Sequence[Drop]) -> MeshError | None:
        """The error of a request for which no model can be asked, if only one stage prevents it."""
        return next((error for stage in self.stages if (error := stage.error(drops)) is not None), None)

    def able(self, question: Question, limit: int = 10) -> list[str]:
        """Models in any pool that the app may use and that could serve the request, for the error that lists them."""
        could = (
            model.id
            for model in allowed_models(question.requester.app, question.table)
            if all(stage.objection(model, question) is None for stage in self.permanent)
        )
        ordered = features.declared_first(could, question, used(question.needs), self.state.models)
        return list(islice(ordered, limit))
