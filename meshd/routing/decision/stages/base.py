"""What a stage is: a rule between a pool's members and its strategy, which drops models and says why.

A stage looks at one model at a time and is asked lazily, in the strategy's order of preference, until a model passes
them all; `explain` asks every stage about every model. So both always agree.

A new rule is a subclass of `Stage` in a file of its own, and its place in `pipeline.standard_stages`. It must not
prefer one model to another (that is a strategy's task), or change state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from meshd.core.events.cause import Cause
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from modelmesh.errors import MeshError


class ModelStatus(NamedTuple):
    """The state of a model within a pool. status: as `recovery.status` has it. cause: None where the configuration says
    so. recovers: seconds until it may be tried; None: not by itself."""

    status: str
    reason: str = ""
    recovers: float | None = 0.0
    cause: Cause | None = None


class Stage(ABC):
    """permanent: its reason is the model's nature or the app's rights, and does not pass. queued: a request may wait in
    the queue for models that only this stage drops. by_record: it judges by the model's record, so that a request that
    failed there asks again regardless. testable: models that it drops may be tested, if no other can answer."""

    name: ClassVar[str]
    permanent: ClassVar[bool] = False
    queued: ClassVar[bool] = False
    by_record: ClassVar[bool] = False
    testable: ClassVar[bool] = False

    @abstractmethod
    def objection(self, model: ModelSpec, question: Question) -> str | None:
        """Why the model cannot be asked; None when it can."""

    def clears_in(
        self, model: ModelSpec, question: Question, *, untested: bool = False, dropped: bool = True
    ) -> float | None:
        """Seconds until it has no objection; 0: it has none, or may have none at any moment; None: not by itself.
        untested: until it needs no test. dropped: this stage has dropped the model, not one before it."""
        return 0.0

    def status(self, model: ModelSpec, question: Question) -> ModelStatus | None:
        """For lists of models, whatever a request needs: what sets the model aside or is worth knowing about it; None:
        nothing."""
        return None

    def remarks(self, models: Sequence[str], question: Question) -> dict[str, str]:
        """For `explain`: why some of those it kept are asked after others."""
        return {}

    def refuses(self, model: ModelSpec, question: Question) -> MeshError | None:
        """The error if the request ends with what this stage has dropped, though other models might answer."""
        return None

    def error(self, drops: Sequence[Drop]) -> MeshError | None:
        """The error of a request for which no model can be asked, if only this stage prevents it. drops: every model in
        every pool that the request asked."""
        return None


@dataclass(slots=True)
class Dropped:
    model: str
    stage: Stage
    reason: str

    @property
    def permanent(self) -> bool:
        return self.stage.permanent


@dataclass(slots=True)
class Drop:
    """What was dropped, and for which question: a request may have asked in several pools."""

    question: Question
    dropped: Dropped

    @property
    def model(self) -> ModelSpec:
        return self.question.table.models[self.dropped.model]


def listed(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each (model, reason), with a count if it occurs several times."""
    times = Counter(f"{model}: {reason}" for model, reason in reasons)
    return [line if count == 1 else f"{line} ({count} times)" for line, count in times.items()]
