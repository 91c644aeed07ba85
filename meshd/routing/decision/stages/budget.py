"""Whether a request's cost and usage fit into what may still be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from meshd.core.member_key import split_member_key
from meshd.core.money import dollars
from meshd.routing.availability.state import MeshState
from meshd.routing.budgets.records import Refusal
from meshd.routing.decision.stages.base import Drop, Stage, listed
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from modelmesh.errors import BudgetExceededError, MeshError
from modelmesh.wording import short, told


class BudgetStage(Stage):
    """The most that the request can cost still fits every budget, quota and pool rule that applies."""

    name = "budget"

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        refusal = self._state.accounts.refusal(question, model)
        return None if refusal is None else refusal.reason

    def clears_in(
        self, model: ModelSpec, question: Question, *, untested: bool = False, dropped: bool = True
    ) -> float | None:
        refusal = self._refusal(model, question, dropped)
        if refusal is None:
            return 0.0
        resets_at = refusal.resets_at
        return None if resets_at is None else max(resets_at - self._state.ahead - question.now, 0.0)

    def refuses(self, model: ModelSpec, question: Question) -> MeshError | None:
        """`on_budget_exceeded: error`."""
        if question.pool.on_budget_exceeded != "error":
            return None
        refusal = self._refusal(model, question)
        return None if refusal is None or refusal.allowance.source != "budget" else over_budget(refusal)

    def error(self, drops: Sequence[Drop]) -> MeshError | None:
        """If money is the only reason, or would be if the other models were back."""
        found: Refusal | None = None
        for each in drops:
            if each.dropped.permanent:
                continue
            refusal = self._refusal(each.model, each.question, each.dropped.stage is self)
            if refusal is None or refusal.allowance.source != "budget":
                return None
            found = found or refusal
        return (
            None if found is None else over_budget(found, {each.dropped.model: each.dropped.reason for each in drops})
        )

    def _refusal(self, model: ModelSpec, question: Question, dropped: bool = True) -> Refusal | None:
        """For a model that another stage has dropped, only what is spent counts: what is only reserved may be free
        before that is over."""
        refusal = self._state.accounts.refusal(question, model)
        return None if refusal is None or (refusal.reserved and not dropped) else refusal


def over_budget(refusal: Refusal, reasons: dict[str, str] | None = None) -> BudgetExceededError:
    """Money in USD."""
    allowance = refusal.allowance
    resets_at = refusal.resets_at
    extra: dict[str, Any] = {"reasons": reasons} if reasons else {}
    whose = split_member_key(allowance.name)[1] or allowance.name
    return BudgetExceededError(
        told(
            f"The budget of {allowance.scope} {short(whose)} does not cover this request; "
            "ask for fewer tokens, or see `meshctl budget`.",
            refusal.reason,
            *listed((reasons or {}).items()),
        ),
        scope=allowance.scope,
        name=allowance.name,
        limit_type={"day": "daily_limit", "month": "monthly_limit"}.get(allowance.window, allowance.window),
        limit=dollars(allowance.limit),
        spent=dollars(refusal.spent),
        reserved=dollars(refusal.reserved),
        resets_at=None if resets_at is None else datetime.fromtimestamp(resets_at, UTC).isoformat(),
        **extra,
    )
