"""Answers apps that ask how many tokens a request has before they send it.

Owns: the paths below those of the requests, in every API that has such an endpoint.
Must never: know an API's form (`AppSide.counted`), or reserve, bill or ask a provider anything.
"""

from __future__ import annotations

from functools import partial

from meshd.formats.headers import IN_JSON
from meshd.formats.known import FORMATS
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.media import require_json
from meshd.gateway.responses.keeper import ResponseKeeper
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken, spoken_at


class TokenCounts(Group):
    """responses: for requests that follow a kept one."""

    def __init__(self, runtime: Runtime, actors: Actors, responses: ResponseKeeper) -> None:
        super().__init__(runtime, actors)
        self._responses = responses

    def add_to(self, table: Dispatcher) -> None:
        for path, spoken in spoken_at().items():
            if below := FORMATS[spoken.format_name].counts:
                table.add_raw("POST", f"{path}/{below}", partial(self.count, spoken), format=spoken.format_name)

    async def count(self, spoken: Spoken, request: Request, rest: str) -> None:
        """Raises MeshError."""
        require_json(request)
        count = await self._responses.count(request, spoken)
        request.reply.respond(spoken.format.app.counted(count), {}, IN_JSON)
