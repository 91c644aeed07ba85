"""The features that a request uses: which models declare them, which say nothing, which refused them recently.

Owns: which features a request uses, the order that follows, and the memory of refusals.
Must never: drop a model for anything but a declared `false`; read a clock.

Rule: what a model does not declare is unknown, not absent. Of the models that could be asked, those that declare what
the request uses come first, then those that say nothing, then those that refused it recently; within each group the
pool's strategy decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from meshd.core.text.durations import format_duration
from meshd.routing.request.features import CALLED, REMEMBERED, used

if TYPE_CHECKING:
    from meshd.core.needs import RequestNeeds
    from meshd.routing.availability.state import MeshState, ModelState
    from meshd.routing.request.question import Question
    from meshd.routing.table.specs import ModelSpec, RoutingTable

DECLARED, UNDECLARED, REFUSED = range(3)


def declared(model: ModelSpec, feature: str) -> bool | None:
    """What the model declares about a feature; None: nothing. A model that follows a schema also answers in JSON."""
    said = model.features
    if not said:
        return None
    found = said.get(feature)
    return True if found is None and feature == "json_mode" and said.get("structured_output") else found


def denied(model: ModelSpec, needs: RequestNeeds) -> str | None:
    """Why the model cannot be asked: it denies a feature that the request uses."""
    said = model.features
    if not said:
        return None
    for feature in used(needs):
        if said.get(feature) is False:
            return f"does not do {CALLED[feature]} (features.{feature}: false)"
    return None


# -- recent refusals -------------------------------------------------------------------------------------


def note_refusal(state: MeshState, model: str, needs: RequestNeeds, named: Collection[str], now: float) -> None:
    """named: features that the provider's own words say this model does not do."""
    for feature in used(needs):
        if feature in named:
            state.model(model).refused[feature] = now


def note_answer(state: MeshState, model: str, needs: RequestNeeds) -> None:
    """The model has used the features that the request uses."""
    refused = state.model(model).refused
    if refused:
        for feature in used(needs):
            refused.pop(feature, None)


def forget_changed(state: MeshState, before: RoutingTable, after: RoutingTable) -> None:
    """If the configuration of a model has changed, its earlier refusals no longer count."""
    for id, known in state.models.items():
        if known.refused:
            former, present = before.models.get(id), after.models.get(id)
            if former is not None and present is not None and _named(former) != _named(present):
                known.refused.clear()


def _named(model: ModelSpec) -> tuple[object, ...]:
    return model.provider, model.upstream, model.features


def refused_ago(known: ModelState | None, feature: str, now: float) -> float | None:
    """Seconds since the model refused it; None: not recently."""
    at = None if known is None else known.refused.get(feature)
    return None if at is None or not 0.0 <= now - at < REMEMBERED else now - at


# -- the order -------------------------------------------------------------------------------------------


def standing(model: ModelSpec, uses: Iterable[str], known: ModelState | None, now: float) -> int:
    """DECLARED before UNDECLARED before REFUSED."""
    found, refused = DECLARED, known is not None and known.refused
    for feature in uses:
        if refused and refused_ago(known, feature, now) is not None:
            return REFUSED
        if not declared(model, feature):
            found = UNDECLARED
    return found


def declared_first(
    order: Iterable[str], question: Question, uses: Collection[str], states: Mapping[str, ModelState]
) -> Iterator[str]:
    """The strategy's order, sorted by standing, no further than it is asked for."""
    models = question.table.models
    later: tuple[list[str], ...] = ([], [])
    for id in order:
        at = standing(models[id], uses, states.get(id), question.now)
        if at is DECLARED:
            yield id
        else:
            later[at - UNDECLARED].append(id)
    for ids in later:
        yield from ids


def remarks(question: Question, ids: Iterable[str], states: Mapping[str, ModelState]) -> dict[str, str]:
    """For `explain`: which of these models are not asked first, and why."""
    uses = used(question.needs)
    models, now = question.table.models, question.now
    standings = {id: standing(models[id], uses, states.get(id), now) for id in ids} if uses else {}
    best = min(standings.values(), default=DECLARED)
    found = {}
    for id, at in standings.items():
        if at is DECLARED:
            continue
        reasons = [said for feature in uses if (said := _said(models[id], feature, states.get(id), now))]
        when = "asked last" if at > best else "asked anyway"
        found[id] = f"{'; '.join(reasons)}; {when}"
    return found


def _said(model: ModelSpec, feature: str, known: ModelState | None, now: float) -> str | None:
    ago = refused_ago(known, feature, now)
    if ago is not None:
        return f"recently refused {CALLED[feature]} ({format_duration(ago)} ago)"
    return None if declared(model, feature) else f"does not declare {CALLED[feature]}"
