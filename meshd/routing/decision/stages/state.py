"""Whether a model is up, by what happened to it."""

from __future__ import annotations

from meshd.core.events.cause import Cause
from meshd.routing.availability.recovery import ACTIVE, STANDBY, objection, recovers_in, status, tried_again_in
from meshd.routing.availability.state import MeshState, availabilities
from meshd.routing.decision.stages.base import ModelStatus, Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec


class StateStage(Stage):
    """The model, its membership in the pool and its provider are up, and it is not switched off."""

    name = "state"
    by_record = True
    testable = True

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        state, now, operator = self._state, question.now, question.requester.operator
        provider = question.table.providers.get(model.provider)
        if provider is not None and provider.disabled:
            return f"provider {model.provider} is disabled" + (f": {provider.disabled}" if operator else "")
        known = state.model(model.id)
        if known.deactivated is not None:
            return f"deactivated by hand: {known.deactivated}"
        of_provider = state.provider(model.provider).availability
        if of_provider.standby:
            why = objection(of_provider, now, operator=operator)
            if why is not None:
                return f"provider {model.provider}: {why}"
        for availability in (known.availability, state.member(question.pool.name, model.id).availability):
            if availability.standby:
                why = objection(availability, now, operator=operator)
                if why is not None:
                    return why
        return None

    def status(self, model: ModelSpec, question: Question) -> ModelStatus | None:
        provider, operator = question.table.providers.get(model.provider), question.requester.operator
        if provider is not None and provider.disabled:
            reason = provider.disabled if operator else f"provider {model.provider} is disabled"
            return ModelStatus(STANDBY, reason, None)
        manual = self._state.model(model.id).deactivated
        if manual is not None:
            return ModelStatus(STANDBY, f"deactivated by hand: {manual}", None, Cause.OPERATOR)
        on_probation = None
        known = availabilities(self._state, question.pool.name, model.id, model.provider)
        for about, availability in zip((f"provider {model.provider}: ", "", ""), known, strict=True):
            found = status(availability, question.now)
            if found == ACTIVE:
                continue
            rests = recovers_in(availability, question.now)
            reason = about + availability.reason_for(operator=operator)
            standing = ModelStatus(found, reason, rests, availability.cause)
            if found == STANDBY:
                return standing
            on_probation = standing
        return on_probation

    def clears_in(
        self, model: ModelSpec, question: Question, *, untested: bool = False, dropped: bool = True
    ) -> float | None:
        if self._state.model(model.id).deactivated is not None or question.table.providers[model.provider].disabled:
            return None
        longest, rests_for = 0.0, recovers_in if untested else tried_again_in
        for availability in availabilities(self._state, question.pool.name, model.id, model.provider):
            wait = rests_for(availability, question.now)
            if wait is None:
                return None
            longest = max(longest, wait)
        return longest
