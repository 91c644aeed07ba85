"""The chain of hooks: what each hook gets, and how its answer affects the request.

Owns: the order of the hooks, which of them are set aside, and the reply that holds an answer until they have seen it.
Must never: let a bug in a hook fail a request, unless the hook is required; run for a router without hooks.

The hooks see an answer last, before each app gets it: the cache keeps the model's own answer, and the hooks see it for
every app.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from types import MappingProxyType
from typing import Any

import msgspec

from meshd.core.events.records import Outcome
from meshd.core.text.exceptions import one_line
from meshd.formats.headers import IN_JSON
from meshd.gateway.frontends.exchange import GONE, ClientGone, Reply, Request
from meshd.gateway.frontends.workplaces import Workplace
from meshd.gateway.requests.hooks.answers import (
    are_events,
    changed_body,
    error_of,
    is_change,
    is_data,
    is_json,
    is_refusal,
)
from meshd.gateway.requests.outcome import Served
from meshd.gateway.requests.request import InferenceRequest
from meshd.host.awake import Timeout
from meshd.routing.attempts.step import AttemptStep
from meshd.sdk.hooks import (
    Answer,
    AttemptFacts,
    Change,
    ErrorFacts,
    Hook,
    Power,
    Refusal,
    RequestFacts,
    ResponseFacts,
)
from modelmesh.errors import InternalServerError, MeshError

logger = logging.getLogger("meshd.gateway")

_POWERS = {Change: Power.CHANGE, bytes: Power.CHANGE, Answer: Power.ANSWER, Refusal: Power.REFUSE}
_STAGES = ("before_request", "before_attempt", "after_response", "on_stream_event", "on_error")

Failed = Callable[[str, str], None]
"""(hook, why)"""


class Refused(ClientGone):
    """The app has its error, and nothing more goes to it."""

    def __init__(self, error: MeshError) -> None:
        super().__init__(error.message, error.status_code, error.message)
        self.error = error


class HookChain:
    """hooks: by name, in their order. failed: called with a hook's first failure. ended: called with the outcomes of
    requests, and where their callers work."""

    def __init__(
        self, hooks: Iterable[tuple[str, Hook]], failed: Failed, ended: Callable[[Outcome, Workplace], None]
    ) -> None:
        self._hooks = dict(hooks)
        self._failed = failed
        self._wrong: set[str] = set()  # required ones that have failed
        self.ended = ended
        self._arrange()

    def _arrange(self) -> None:
        self._stages = {
            stage: tuple(
                (name, hook)
                for name, hook in self._hooks.items()
                if getattr(type(hook), stage) is not getattr(Hook, stage)
            )
            for stage in _STAGES
        }

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def at(self, stage: str) -> tuple[tuple[str, Hook], ...]:
        return self._stages[stage]

    async def ask(self, name: str, hook: Hook, stage: str, *given: Any, accepts: Callable[[Any], bool]) -> Any:
        """A hook's answer, None if it is set aside. accepts: whether the answer has the right form for this stage.

        Raises MeshError if it refuses, or is required and fails.
        """
        if name not in self._hooks:
            return None
        try:
            said = await _bounded(hook, getattr(hook, stage), *given)
            if said is None:
                return None
            power = _POWERS.get(type(said))
            if power is None or not accepts(said):
                raise ValueError(f"{stage} returned {type(said).__name__}, which has no meaning there")
            if power not in hook.may:
                raise ValueError(f"{stage} returned {type(said).__name__}, but its class may not {power.value}")
            if isinstance(said, Refusal):
                refusal = error_of(name, said)
            else:
                return said
        except (Exception, SystemExit) as error:
            self._mistake(name, hook, error)
            return None
        raise refusal

    def _mistake(self, name: str, hook: Hook, error: BaseException) -> None:
        why = one_line(error)
        if hook.required:
            reason = f"the required hook {name} failed ({why}); the request is refused"
        else:
            if self._hooks.pop(name, None) is None:
                return  # another request has reported it already
            self._arrange()
            reason = (
                f"the hook {name} failed ({why}); requests continue without it until the configuration is loaded again"
            )
        logger.error("%s", reason)
        if name not in self._wrong:
            self._wrong.add(name)
            self._failed(name, reason)
        if hook.required:
            raise InternalServerError(
                f"The required hook {name} could not check this request; ask again, or see the daemon's log.",
                status_code=503,
                code="hook_failed",
                retryable=True,
            )


class HookedRequest(Reply):
    """A request that passes through the hooks, as a wrapper around its app's reply. An answer waits here for
    `after_response`, and the outcome waits until it is known what the app got."""

    __slots__ = ("_app", "_chain", "_error", "_facts", "_held", "_instead", "_outcome", "_over", "_request")

    def __init__(self, chain: HookChain, request: Request) -> None:
        super().__init__()
        self._chain = chain
        self._request = request
        self._app = request.way_back
        self._facts: RequestFacts | None = None  # None until the request is read
        self._held: tuple[bytes | None, dict[str, Any] | None, dict[str, Any], dict[str, str] | None] | None = None
        self._error: MeshError | None = None
        self._instead: tuple[int, str] | None = None  # status and error in place of those in its outcome
        self._outcome: Outcome | None = None
        self._over = False

    async def run(self, ask: Callable[[HookedRequest], Awaitable[None]]) -> None:
        """Answer the request through `ask`. Raises what `ask` raises, except MeshError, which the app gets."""
        self._request.way_back = self
        try:
            try:
                await ask(self)
                if self._held is not None:
                    await self._after_response()
            except MeshError as error:
                self.error(error)
            except Refused:
                pass
            if self._error is not None:
                await self._on_error(self._error)
        except asyncio.CancelledError:
            if self._held is not None:
                self._instead = self._given_up()
            raise
        finally:
            self._over = True
            if self._outcome is not None:
                self._report(self._outcome)

    # -- its outcome ----------------------------------------------------------------------------------

    def ended(self, outcome: Outcome) -> None:
        """The request is over, except for the hooks."""
        if self._over:
            self._report(outcome)
        else:
            self._outcome = outcome

    def _report(self, outcome: Outcome) -> None:
        if self._request.handed_on:
            return
        if self._instead is not None:
            status, error = self._instead
            outcome = msgspec.structs.replace(outcome, status=status, error=error)
        self._chain.ended(outcome, self._request.work)

    def _given_up(self) -> tuple[int, str]:
        """The status and error of a request that is cancelled."""
        cut_off = self._request.cut_off
        return (499, GONE) if cut_off is None else (cut_off.status_code, cut_off.message)

    def _refuse(self, error: MeshError) -> None:
        self._instead = error.status_code, error.message
        self.error(error)

    # -- from app to model ----------------------------------------------------------------------------

    async def before_request(
        self, inference: InferenceRequest, begin: Callable[[], InferenceRequest]
    ) -> InferenceRequest | None:
        """The request to send to a model; None if a hook has answered it. begin: reads it again. Raises MeshError."""
        try:
            return await self._before_request(inference, begin)
        except asyncio.CancelledError:
            if self._outcome is None:
                status, why = self._given_up()
                inference.served(Served(status, inference.target.pool.name, "", "", coalesced=False, error=why))
            raise

    async def _before_request(
        self, inference: InferenceRequest, begin: Callable[[], InferenceRequest]
    ) -> InferenceRequest | None:
        self._know(inference)
        for name, hook in self._chain.at("before_request"):
            stream = inference.plan.needs.stream

            def accepts(said: Any, stream: bool = stream) -> bool:
                if isinstance(said, Answer):
                    return are_events(said.chunks) and bool(said.chunks) if stream else is_json(said.body)
                return is_change(said) if isinstance(said, Change) else isinstance(said, Refusal)

            said = await self._chain.ask(name, hook, "before_request", self._facts, accepts=accepts)
            if isinstance(said, Change):
                self._request.body = changed_body(inference, said)
                inference = begin()
                self._know(inference)
            elif isinstance(said, Answer):
                await self._answer(inference, said, name)
                return None
        inference.hooks = self
        return inference

    async def _answer(self, inference: InferenceRequest, said: Answer, name: str) -> None:
        mesh = {"pool": inference.target.pool.name, "cost": 0.0, "hook": name}
        served = Served(200, inference.target.pool.name, "", "", coalesced=False)
        inference.hooks = self
        if inference.plan.needs.stream:
            try:
                for data in said.chunks:
                    await self.chunk(data)
            except Refused:
                pass  # which its outcome says
            except (ClientGone, TimeoutError, asyncio.CancelledError):
                self._instead = 499, GONE
                inference.served(served)
                raise
            else:
                self.end(None, mesh)
        else:
            self.respond(said.body, mesh, IN_JSON)
        inference.served(served)

    async def before_attempt(self, step: AttemptStep) -> None:
        """Raises Refused."""
        for name, hook in self._chain.at("before_attempt"):
            attempt = AttemptFacts(step.model.id, step.model.provider, step.number)
            try:
                await self._chain.ask(name, hook, "before_attempt", self._facts, attempt, accepts=is_refusal)
            except MeshError as error:
                self._refuse(error)
                raise Refused(error) from None

    def _know(self, inference: InferenceRequest) -> None:
        self._facts = RequestFacts(
            self._request.request_id.hex(),
            str(inference.operation),
            inference.asked,
            inference.target.pool.name,
            inference.identity.label,
            inference.plan.needs.stream,
            MappingProxyType({field: bytes(value) for field, value in inference.fields.items()}),
        )

    # -- from model to app ----------------------------------------------------------------------------

    async def chunk(self, data: bytes) -> None:
        """Also raises Refused. A hook sees no pieces of a file."""
        if self.file is not None:
            self._app.file = self.file
        for name, hook in self._chain.at("on_stream_event") if self.file is None else ():
            try:
                said = await self._chain.ask(name, hook, "on_stream_event", self._facts, data, accepts=is_data)
            except MeshError as error:
                self._refuse(error)
                raise Refused(error) from None
            data = data if said is None else said
        await self._app.chunk(data)
        self.sent += 1

    def begins(self, mesh: dict[str, Any]) -> None:
        self._app.begins(mesh)

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._hold(body, None, mesh, headers)

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self._hold(None, usage, mesh, None)

    def error(self, error: MeshError) -> None:
        self._held = None
        if not self._app.done:
            self._error = error
            self._app.error(error)
        self.done = True

    def _hold(
        self, body: bytes | None, usage: dict[str, Any] | None, mesh: dict[str, Any], headers: dict[str, str] | None
    ) -> None:
        if not self.done:
            self.done = True
            self._held = body, usage, mesh, headers

    async def _after_response(self) -> None:
        assert self._held is not None, "there is no answer"
        body, usage, mesh, headers = self._held
        model, provider = str(mesh.get("model", "")), str(mesh.get("provider", ""))
        for name, hook in self._chain.at("after_response"):
            response = ResponseFacts(body, usage, model, provider, bool(mesh.get("cached")))
            accepts = is_refusal if body is None else is_data
            try:
                said = await self._chain.ask(name, hook, "after_response", self._facts, response, accepts=accepts)
            except MeshError as error:
                self._refuse(error)
                return
            body = body if said is None else said
        self._held = None
        if body is None:
            self._app.end(usage, mesh)
        else:
            self._app.respond(body, mesh, headers)

    async def _on_error(self, error: MeshError) -> None:
        if self._facts is None:
            return
        facts = ErrorFacts(error.status_code, error.code, error.message)
        for name, hook in self._chain.at("on_error"):
            try:
                await self._chain.ask(name, hook, "on_error", self._facts, facts, accepts=lambda _: False)
            except MeshError:
                continue  # a required hook failed, but this request has failed already


async def _bounded(hook: Hook, method: Callable[..., Awaitable[Any]], *given: Any) -> Any:
    """A hook's answer within its timeout, even if the hook ignores its cancellation. Raises anything."""
    seconds = float(hook.timeout)
    task = asyncio.ensure_future(_contained(method, *given))
    try:
        with Timeout(seconds):
            await asyncio.wait({task})
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        task.cancel()
    said, error = task.result()
    if error is not None:
        raise error
    return said


async def _contained(method: Callable[..., Awaitable[Any]], *given: Any) -> tuple[Any, BaseException | None]:
    """A SystemExit in a task would end the loop."""
    try:
        return await method(*given), None
    except asyncio.CancelledError:
        return None, RuntimeError("it cancelled itself")
    except (Exception, SystemExit) as error:
        return None, error
