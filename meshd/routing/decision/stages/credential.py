"""Providers that take the apps' own keys (`auth.method: passthrough`)."""

from __future__ import annotations

from collections.abc import Sequence

from meshd.routing.decision.stages.base import Drop, Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from modelmesh.errors import AuthenticationError, MeshError
from modelmesh.wording import short


class CredentialStage(Stage):
    """The request has a key for a provider that takes the app's own."""

    name = "credential"
    permanent = True

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        table = question.table
        if not table.app_keys or question.requester.has_key or not table.providers[model.provider].app_keys:
            return None
        return f"{model.provider} takes the app's own key, and the request has none"

    def error(self, drops: Sequence[Drop]) -> MeshError | None:
        if not drops or any(each.dropped.stage is not self for each in drops):
            return None
        return no_key(drops[0].model.provider)


def no_key(provider: str) -> AuthenticationError:
    return AuthenticationError(
        f"Provider {short(provider)} takes the app's own key, and the request has none; send it as "
        "`Authorization: Bearer` or `x-api-key`.",
        code="missing_api_key",
    )
