"""The OTLP receiver: agents export the requests that they made elsewhere.

Owns: the paths, and what an exporter is answered. Must never: read an export in the router's loop, keep anything but
what `meshd/telemetry/otlp_in` finds in it, or count it as the mesh's own money.
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import Executor
from functools import partial

from meshd import messages
from meshd.gateway.actors import Actors
from meshd.gateway.control.base import Group
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.media import unsupported
from meshd.gateway.runtime import Runtime
from meshd.telemetry.statistics.outside import OutsideUse
from modelmesh.errors import InvalidRequestError

SIGNALS = ("traces", "logs", "metrics")
_JSON, _PROTOBUF = "application/json", "application/x-protobuf"
_ANSWERS = {_JSON: b"{}", _PROTOBUF: b""}
"""An empty message: everything was accepted."""


class Otlp(Group):
    """reader: where exports are read, one after another."""

    def __init__(self, runtime: Runtime, actors: Actors, reader: Executor) -> None:
        super().__init__(runtime, actors)
        self._reader = reader

    def add_to(self, table: Dispatcher) -> None:
        for signal in SIGNALS:
            table.add_raw("POST", f"/v1/{signal}", partial(self.take, signal), compressed=True)

    async def take(self, signal: str, request: Request, rest: str) -> None:
        """Raises InvalidRequestError."""
        from meshd.telemetry.otlp_in import export  # few daemons receive any

        form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if form not in _ANSWERS:
            raise unsupported(request, form or "a body without a content type", f"{_JSON} and {_PROTOBUF}", "send that")
        gzip = request.headers.get("content-encoding", "").strip().lower() == "gzip"
        read = partial(_read, request.body, signal, json=form == _JSON, gzip=gzip)
        try:
            found, same = await asyncio.get_running_loop().run_in_executor(self._reader, read)
        except export.TooLarge:
            raise InvalidRequestError(
                f"This export is larger than {export.MOST_BYTES // 1024**2} MiB; send smaller batches.",
                status_code=413,
                code="message_too_large",
            ) from None
        except ValueError as error:
            raise InvalidRequestError(f"This is not an OTLP export: {str(error)[:200]}.", code="invalid_otlp") from None
        if found:
            await request.work.known()
            app, user = self.runtime.apps.identify(request.caller).label, request.caller.user
            project = request.work.project
            placed = [use._replace(app=app, user=user, project=use.project or project) for use in found]
            self.actors.tell("telemetry", messages.OutsideUsed(placed, same))
        request.reply.respond(_ANSWERS[form], {}, {"content-type": form})


def _read(body: bytes, signal: str, *, json: bool, gzip: bool) -> tuple[list[OutsideUse], str]:
    """What it says, and what tells it from other exports. Raises ValueError."""
    from meshd.telemetry.otlp_in import export
    from meshd.telemetry.otlp_in.usage import uses

    found = uses(export.read(body, signal, json=json, gzip=gzip), signal)
    return found, hashlib.blake2b(body, digest_size=16, person=signal.encode()).hexdigest()
