"""`GET /metrics`: what Prometheus reads.

Must never: show it to an app that may not see what others use, or make its text in the loop (telemetry does).
"""

from __future__ import annotations

from meshd import messages
from meshd.connectors.observability.prometheus.exposition import CONTENT_TYPE
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.control.watching.gauges import Gauges, may_read
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.runtime import Runtime
from modelmesh.errors import AccessDeniedError
from modelmesh.wording import short, told

PATH = "/metrics"


class Metrics(Group):
    def __init__(self, runtime: Runtime, actors: Actors, gauges: Gauges) -> None:
        super().__init__(runtime, actors)
        self._gauges = gauges

    def add_to(self, table: Dispatcher) -> None:
        table.add_raw("GET", PATH, self.page)

    async def page(self, request: Request, _: str) -> None:
        reader = self.reader(Call(request.caller))
        if not may_read(reader):
            raise AccessDeniedError(
                told(
                    f"{short(reader.identity.label)} may not read metrics, which count every app's requests; set "
                    "`metrics: true` for it in `apps`.",
                    "operators may, and apps with that key",
                ),
                app=reader.identity.label,
                allowed=[],
            )
        self.runtime.outcomes.flush()
        text = await self.need("telemetry", messages.RenderMetrics(await self._gauges.read()))
        request.reply.respond(text, {}, {"content-type": CONTENT_TYPE, "cache-control": "no-store"})
