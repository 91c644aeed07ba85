"""What a strategy says of a pool, and what it is told."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from meshd.core.needs import RequestNeeds
from meshd.routing.request.question import Question, Requester
from meshd.routing.standing import Availability
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import CHAT_NEEDS, NOW, Mesh


def asked(made: Mesh, needs: RequestNeeds = CHAT_NEEDS, *, session: str = "", random: float = 0.5) -> Question:
    return structs.replace(made.question(needs), requester=Requester(session=session, random=lambda: random))


def order(made: Mesh, needs: RequestNeeds = CHAT_NEEDS, **given: Any) -> list[str]:
    return list(made.pipeline.strategy(made.pool.strategy).order(asked(made, needs, **given)))


def take(made: Mesh, id: str, **given: Any) -> str | None:
    return made.pipeline.strategy(made.pool.strategy).chosen(asked(made, **given), id)


def down(made: Mesh, id: str) -> None:
    made.state.member("chat", id).availability = Availability(standby=True, until=NOW + 10**6, why=resting("it fails"))
