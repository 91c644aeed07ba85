"""One pool of rate-limited models, and what is taken there."""

from __future__ import annotations

from typing import Any

from meshd.core.needs import RequestNeeds
from meshd.operations.chat import CHAT
from meshd.routing.rates.rates import Headroom, NoRoom, RateTicket
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.specs import NO_RATES, AppSpec, ProviderSpec, RateSpec
from tests.support.routing.routing_builders import NOW, Mesh, mesh

__all__ = ["NOW", "Room"]


class Room:
    """One pool of models of the provider "p", and the tickets that were taken there."""

    def __init__(self, *models: str, rate: RateSpec = NO_RATES, app: RateSpec = NO_RATES, **pool: Any) -> None:
        provider = ProviderSpec("p", "modelmesh.scripted.v1", rate=rate)
        self.mesh: Mesh = mesh(*(models or ("p.m",)), providers=[provider], **pool)
        self.rates = self.mesh.state.rates
        self.app = AppSpec("app", rate=app)

    def question(
        self, at: float = 0.0, tokens: int = 0, output: int | None = None, account: str = "app", share: float = 1.0
    ) -> Question:
        question = self.mesh.question(RequestNeeds(CHAT, most=tokens, max_output=output))
        question.now = NOW + at
        question.requester = Requester(self.app, account, operator=True, share=share)
        return question

    def no_room(self, at: float = 0.0, model: str = "p.m", **asked: Any) -> NoRoom | None:
        return self.rates.no_room(self.question(at, **asked), self.mesh.table.models[model])

    def enter(self, at: float = 0.0, model: str = "p.m", **asked: Any) -> RateTicket:
        question, spec = self.question(at, **asked), self.mesh.table.models[model]
        return self.rates.enter(question, spec, question.estimate(spec))

    def leave(self, ticket: RateTicket, tokens: int | None = None) -> None:
        self.rates.leave(ticket, tokens)

    def headroom(self, at: float = 0.0, model: str = "p.m") -> Headroom:
        return self.rates.headroom(self.question(at), self.mesh.table.models[model])
