"""Requests whose answers are kept: what they follow, where their answers go, and which run in the background.

Owns: the requests in the background. Must never: know a format (`formats/keeping.py`), or ask a model itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

import msgspec

from meshd.config.schema.connectors.stores import ResponsesConfig
from meshd.formats.headers import IN_JSON
from meshd.formats.keeping import Fields, Keeping, Stored
from meshd.formats.known import FORMATS
from meshd.formats.lookup import app_format
from meshd.gateway.access.owner import Owner, owner_of
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.exchange import Deadline, Request
from meshd.gateway.requests import arrival
from meshd.gateway.requests.prompt_tokens import prompt_tokens
from meshd.gateway.responses.replies import BackgroundReply, KeepingReply, StreamedReply
from meshd.gateway.responses.store import ResponseStore
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken
from meshd.host import clock
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError, MeshError, RequestCancelledError

logger = logging.getLogger("meshd.gateway")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class ResponseKeeper:
    """reader: the thread that reads long bodies."""

    def __init__(self, runtime: Runtime, admission: Admission, store: ResponseStore, reader: Executor) -> None:
        self.store = store
        self._runtime = runtime
        self._admission = admission
        self._reader = reader
        self._running: dict[tuple[Owner, str], Request] = {}  # in the background
        self._unsure = False  # whether responses of an earlier run may have been in the background

    def inherit(self, before: ResponseKeeper) -> None:
        """Take over the requests of an earlier run."""
        self.store.inherit(before.store)
        self._unsure = True

    def restore(self, rows: Mapping[str, dict[str, Any]]) -> None:
        """Load what an earlier process stored."""
        self.store.restore(rows)
        self._unsure = True

    def configure(self, config: ResponsesConfig) -> None:
        """Use these limits from now on."""
        self.store.configure(config)
        if self._unsure:
            self._unsure = False
            self._fail_the_lost()

    def _fail_the_lost(self) -> None:
        """Mark as failed what was in the background when an earlier run ended."""
        lost = RequestCancelledError("The daemon ended before the response did.", code="server_error")
        names = [name for name, known in FORMATS.items() if known.keeps]
        for kept in self.store.all():
            for keeping in (app_format(name).app.keeping for name in names):
                if (
                    keeping
                    and (kept.owner, kept.stored.id) not in self._running
                    and keeping.is_open(kept.stored.response)
                ):
                    response = keeping.failed(kept.stored.response, lost)
                    self._put_last(keeping, kept.owner, msgspec.structs.replace(kept.stored, response=response))

    def owner(self, request: Request) -> Owner | None:
        return owner_of(request.caller, self._runtime.apps.identify(request.caller))

    # -- requests to models ---------------------------------------------------------------------------

    async def open(self, request: Request, spoken: Spoken) -> bool:
        """Give the request the conversation that it follows, and arrange for its answer to be kept. Returns whether its
        app waits for it: if not, it has its answer, and the request continues in the background. Raises MeshError."""
        keeping = spoken.format.app.keeping
        if keeping is None or (isinstance(request.reply, BackgroundReply) and not request.gives_way):
            return True
        try:
            if request.gives_way:
                _require_whole(_top_level(request), keeping)
                return True
            return await self._open(request, spoken, keeping)
        except MeshError as error:
            self._runtime.outcomes.request_ended(
                arrival.refused(self._runtime, request, spoken.operation, error), request.work
            )
            raise

    async def _open(self, request: Request, spoken: Spoken, keeping: Keeping) -> bool:
        fields, owner = _top_level(request), self.owner(request)
        previous = keeping.previous_id(fields)
        if previous:
            fields = await self._follow(request, spoken, keeping, fields, owner, previous)
        if keeping.in_background(fields):
            await self._begin_in_background(request, spoken, keeping, fields, owner, previous)
            return False
        keep = None
        if owner is not None and self.store.enabled and keeping.is_stored(fields):
            keep = partial(self._keep, request, keeping, owner, previous)
        if keep is not None or previous:
            request.way_back = KeepingReply(request.way_back, keeping, previous, keep)
        return True

    async def _follow(
        self, request: Request, spoken: Spoken, keeping: Keeping, fields: Fields, owner: Owner | None, previous: str
    ) -> Fields:
        stored = self.store.find(owner, previous)
        if stored is None:
            raise keeping.no_previous(previous)
        if keeping.is_open(stored.response):
            raise InvalidRequestError(
                "The previous response has not ended yet; ask again when it has.", param="previous_response_id"
            )
        size = len(request.body) + len(stored.input) + len(stored.response)
        if size <= arrival.LONG:
            fields, body = _followed(keeping, fields, stored)
        else:
            work = asyncio.get_running_loop().run_in_executor(self._reader, _followed, keeping, fields, stored)
            fields, body = await work
        self._admission.replace_body(request, body)
        if len(body) > arrival.LONG:
            await arrival.read_ahead(self._reader, self._runtime, request, spoken)
        return fields

    def _keep(self, request: Request, keeping: Keeping, owner: Owner, previous: str, response: bytes) -> None:
        """A hook may have changed the body, which decides what may be kept."""
        try:
            stored = keeping.stored(_top_level(request), response, previous)
        except MeshError as error:
            logger.warning("a response cannot be kept: %s", error.message)
            return
        if stored is not None:
            self.store.put(owner, stored)

    # -- in the background ----------------------------------------------------------------------------

    async def _begin_in_background(
        self, request: Request, spoken: Spoken, keeping: Keeping, fields: Fields, owner: Owner | None, previous: str
    ) -> None:
        if owner is None or not self.store.enabled:
            raise InvalidRequestError("`background` is not possible here, as no response is kept", param="background")
        stored = keeping.queued(fields, previous)
        place, failures = (owner, stored.id), list[MeshError]()

        def answered(answer: bytes, error: MeshError | None = None) -> None:
            if self._running.pop(place, None) is not None:
                self._put_last(keeping, owner, _ended(keeping, stored, answer, error))

        def ended(answer: bytes, error: MeshError | None) -> None:
            self._admission.ended(run.request_id, run.reply, None)
            if error is not None:
                failures.append(error)
            answered(answer, error)

        streamed, reply = keeping.is_streamed(fields), BackgroundReply(ended)
        if streamed:
            reply = StreamedReply(keeping, partial(self._pass, keeping, owner, stored), answered, ended)
        run = self._in_foreground(request, keeping.in_foreground(fields), reply)
        arrival.begin(self._runtime, run, spoken)  # reports at once what cannot be asked
        self._admission.admit(run, len(run.body), self._admission.rights(run.caller))
        if failures:
            raise failures[0]
        self._running[place] = run
        if not self.store.put(owner, stored):
            self._stop(place)
            raise InvalidRequestError("The input is too long to be kept; ask without `background`.", param="input")
        if not streamed:
            request.way_back.respond(stored.response, {}, IN_JSON)
            return
        self.store.open_log(owner, stored.id)
        for event in keeping.first_events(stored.response):
            self.store.record(owner, stored.id, event)
        request.stream = True
        try:
            await self.send_events(keeping, owner, stored.id, request)
        except MeshError as error:  # not from the request to a model, which has a record of its own
            request.way_back.error(error)

    def _pass(self, keeping: Keeping, owner: Owner, stored: Stored, data: bytes) -> None:
        """Keep an event of a running answer."""
        log = self.store.log(owner, stored.id)
        event = b"" if log is None else keeping.event_of(stored.response, data, log.end)
        if event:
            self.store.record(owner, stored.id, event)

    def _put_last(self, keeping: Keeping, owner: Owner, stored: Stored) -> None:
        """Keep a response that has ended, and its last event if its events are kept."""
        self.store.put(owner, stored)
        log = self.store.log(owner, stored.id)
        if log is not None and not log.ended:
            last = keeping.last_event(stored.response, log.end)
            self.store.record(owner, stored.id, last, last=True)

    def _in_foreground(self, request: Request, body: bytes, reply: BackgroundReply) -> Request:
        arrived, timeout = clock.now(), self._admission.limits.request_timeout
        run = Request(
            os.urandom(16),
            request.method,
            request.path,
            body,
            reply,
            headers=request.headers,
            caller=request.caller,
            deadline=Deadline.after(arrived, timeout),
            arrived=arrived,
            label=request.label,
        )
        run.credential, run.work = request.credential, request.work
        return run

    def _stop(self, place: tuple[Owner, str]) -> None:
        run = self._running.pop(place, None)
        if run is not None:
            self._admission.lost(run.request_id)

    # -- questions -----------------------------------------------------------------------------------

    async def count(self, request: Request, spoken: Spoken) -> int:
        """The tokens of a request's input, with the conversation that it follows. Raises MeshError."""
        keeping = spoken.format.app.keeping
        fields = _top_level(request) if keeping is not None else {}
        if keeping is not None and (previous := keeping.previous_id(fields)):
            await self._follow(request, spoken, keeping, fields, self.owner(request), previous)
        return await prompt_tokens(self._runtime, self._reader, request, spoken)

    def find(self, keeping: Keeping, owner: Owner | None, id: str) -> Stored:
        """The response in its current state. Raises NotFoundError."""
        stored = self.store.find(owner, id)
        if stored is None or owner is None:
            raise keeping.not_found(id)
        run = self._running.get((owner, id))
        if run is not None and run.begun:
            return msgspec.structs.replace(stored, response=keeping.begun(stored.response))
        return stored

    def delete(self, keeping: Keeping, owner: Owner | None, id: str) -> None:
        """Delete the response, and end it if it is running. Raises NotFoundError."""
        if owner is None or self.store.find(owner, id) is None:
            raise keeping.not_found(id)
        self._stop((owner, id))
        self.store.drop(owner, id)

    def cancel(self, keeping: Keeping, owner: Owner | None, id: str) -> bytes:
        """End a response in the background; the response as it is then. Raises MeshError."""
        stored = self.find(keeping, owner, id)
        assert owner is not None, "it has been found"
        if not keeping.is_of_background(stored.response):
            raise keeping.not_cancellable()
        if not keeping.is_open(stored.response):
            return stored.response
        self._stop((owner, id))
        response = keeping.cancelled(stored.response)
        self._put_last(keeping, owner, msgspec.structs.replace(stored, response=response))
        return response

    async def send_events(
        self, keeping: Keeping, owner: Owner | None, id: str, request: Request, after: int = -1
    ) -> None:
        """Answer with the events of a response that was found, from the one after this number to the last. Raises
        MeshError, and as `Reply.chunk`."""
        log = self.store.log(owner, id)
        if log is None:
            raise keeping.events_gone()
        await log.send(request.way_back, after + 1, request.deadline, keeping.events_gone())


def _require_whole(fields: Fields, keeping: Keeping) -> None:
    """Raises InvalidRequestError for a line of a batch that depends on kept responses."""
    for name, given in (
        ("previous_response_id", keeping.previous_id(fields)),
        ("background", keeping.in_background(fields)),
    ):
        if given:
            raise InvalidRequestError(f"`{name}` is not possible in a batch.", param=name)


def _top_level(request: Request) -> Fields:
    """The top level of its body; empty if it cannot be read, which is refused later."""
    read = request.read_ahead
    try:
        if read is not None and read[0] is request.body:
            fields: Fields = read[1].result().sent
            return fields
        return _fields(lenient.whole(request.body))
    except (*lenient.UNREADABLE, MeshError):
        return {}


def _followed(keeping: Keeping, fields: Fields, stored: Stored) -> tuple[Fields, bytes]:
    whole = keeping.follow_up(fields, stored)
    return whole, _encode(whole)


def _ended(keeping: Keeping, stored: Stored, answer: bytes, error: MeshError | None) -> Stored:
    response = keeping.finished(stored.response, answer) if error is None else keeping.failed(stored.response, error)
    return msgspec.structs.replace(stored, response=response)
