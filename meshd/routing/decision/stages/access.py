"""What the app may use (`apps.NAME.models`)."""

from __future__ import annotations

from collections.abc import Sequence

from meshd.routing.decision.stages.base import Drop, Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import AppSpec, ModelSpec
from modelmesh.errors import AccessDeniedError, MeshError
from modelmesh.wording import short, told


class AccessStage(Stage):
    """The app may use the model."""

    name = "access"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        allowed, app = question.requester.app.models, question.requester.app
        if allowed is None or model.id in allowed:
            return None
        return f"{app.name} may not use it"

    def error(self, drops: Sequence[Drop]) -> MeshError | None:
        if not drops or any(each.dropped.stage is not self for each in drops):
            return None
        question = drops[0].question
        return not_allowed(question.requester.app, question.pool.name)


def not_allowed(app: AppSpec, asked: str) -> AccessDeniedError:
    allowed = sorted({*(app.pools or ()), *(app.models or ())})
    return AccessDeniedError(
        told(
            f"{short(app.name)} may not use {short(asked)}; ask for what it may use, or change `apps`.",
            f"it may use {', '.join(allowed) or 'nothing'}",
        ),
        app=app.name,
        allowed=allowed,
    )
