"""`modelmesh.scripted.v1`: answers and faults from a script, without a network, for tests and demonstrations.

Owns: playing a script's steps as a provider would.
Must never: look like a real model: every answer carries `"system_fingerprint": "scripted"`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from meshd.connectors.providers.scripted import script
from meshd.connectors.providers.scripted.script import Fault, Script, Step
from meshd.formats.errors.response_failures import failure_from_error_object, failure_from_response
from meshd.formats.headers import rate_limits
from meshd.formats.openai import wire
from meshd.formats.openai.answer import read_answer
from meshd.formats.openai.models import guess_capabilities
from meshd.formats.stream.event_reader import unread
from meshd.host.awake import Timeout
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
)
from meshd.sdk.reading import lenient


class ScriptedProvider(Provider):
    """Settings under `options`: `models`, `script`, `cycle` (see `script.py`), `capabilities` of all its models."""

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.script = Script(settings.options)
        self._capabilities = tuple(settings.options.get("capabilities") or ())

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        step = self.script.take(call.model)
        request = _request(call)
        body = script.answer(step, request)
        lasts = step.delay_seconds + len(body) * step.byte_delay_seconds
        if step.fault is Fault.PAUSE:
            lasts += step.pause_seconds
        try:
            with Timeout(call.timeout):
                await asyncio.sleep(lasts)
                if step.fault in (Fault.TIMEOUT, Fault.SILENCE):
                    await asyncio.Event().wait()
        except TimeoutError:
            raise _failure(FailureKind.TIMEOUT, f"no answer within {call.timeout:g} s") from None
        self._raise_error(step)
        if step.fault is Fault.ERROR_EVENT:
            raise failure_from_error_object(script.error_inside(step))
        if step.fault in (Fault.RESET, Fault.CLEAN_CLOSE, Fault.CUT_CHUNK):
            raise _failure(FailureKind.CONNECTION, f"the connection broke ({step.fault})")
        if step.fault not in (None, Fault.PAUSE):
            raise _failure(FailureKind.BAD_ANSWER, f"that was not an answer ({step.fault})")
        answer = read_answer(body, call.operation)
        return ProviderAnswer(answer.body, answer.usage, rate_limits(_raw(step)), size=answer.size)

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        step = self.script.take(call.model)
        request = _request(call)
        if step.delay_seconds > call.first_token_timeout:
            step = msgspec.structs.replace(step, fault=Fault.TIMEOUT, delay=0.0, error=None)
        await asyncio.sleep(step.delay_seconds)
        self._raise_error(step)
        hide_usage = not wire.asks_for_usage(call.fields)
        completion = not call.operation.conversation

        def event(payload: bytes) -> StreamEvent:
            return wire.read_event(payload, hide_usage=hide_usage, completion=completion)[0]

        if step.fault is Fault.TIMEOUT:
            await self._fall_silent(call, 0)
        chunks = script.content_chunks(step, request)
        before = chunks[: step.after] if step.fault is not None or step.byte_delay else chunks
        preface = script.preface_chunks(step, request)
        for payload in preface:
            yield event(payload)
        for payload in before:
            yield event(payload)
            await asyncio.sleep(step.chunk_delay_seconds)
        if step.fault in (Fault.BAD_CHUNK, Fault.BAD_END):
            yield unread(script.BROKEN_CHUNK)
        if step.fault is not None:
            await self._break(step, len(before), len(before) + len(preface), call)
        for sent, payload in enumerate([*chunks[len(before) :], *script.last_chunks(step, request)], len(before)):
            await self._wait(len(script.event(payload)) * step.byte_delay_seconds, sent, call)
            yield event(payload)

    async def list_models(self) -> list[ModelListing]:
        return [
            ModelListing(id=model, capabilities=self._capabilities or guess_capabilities(model))
            for model in self.script.models
        ]

    async def probe(self, timeout: float) -> float:
        return 0.0

    def describe(self) -> dict[str, Any]:
        return {"scripted": True, "served": self.script.served, "served_by_model": dict(self.script.served_by_model)}

    async def aclose(self) -> None:
        return None

    def _raise_error(self, step: Step) -> None:
        if step.error is not None:
            raise failure_from_response(step.error, script.error_body(step), _raw(step), "the scripted provider")

    async def _break(self, step: Step, content: int, events: int, call: ProviderCall) -> None:
        """Fail as the real connector does for the real fault; return if the stream continues."""
        match step.fault:
            case Fault.PAUSE:
                await self._wait(step.pause_seconds, content, call)
                return
            case Fault.SILENCE:
                await self._fall_silent(call, content)
            case Fault.ERROR_EVENT:
                raise failure_from_error_object(script.error_inside(step))
            case Fault.RESET | Fault.CUT_CHUNK:
                broken = FailureKind.STREAM_CUT if events else FailureKind.CONNECTION
                raise _failure(broken, f"the connection broke ({step.fault})")
        kind = FailureKind.STREAM_CUT if content else FailureKind.BAD_ANSWER
        raise _failure(kind, f"the stream broke ({step.fault})")

    async def _wait(self, seconds: float, content: int, call: ProviderCall) -> None:
        """Send nothing for this time."""
        if seconds > (call.idle_timeout if content else call.first_token_timeout):
            await self._fall_silent(call, content)
        await asyncio.sleep(seconds)

    async def _fall_silent(self, call: ProviderCall, content: int) -> None:
        await asyncio.sleep(call.idle_timeout if content else call.first_token_timeout)
        raise _failure(FailureKind.STREAM_CUT if content else FailureKind.TIMEOUT, "fell silent")


def _request(call: ProviderCall) -> script.Request:
    fields = {name: lenient.decode(bytes(raw)) for name, raw in call.fields.items()}
    if call.stream and call.operation.streamed:
        fields["stream_options"] = {"include_usage": True}
    return script.Request(call.operation, call.model, fields)


def _failure(kind: FailureKind, what: str) -> ProviderFailure:
    return ProviderFailure(kind, f"scripted: {what}")


def _raw(step: Step) -> list[tuple[bytes, bytes]]:
    headers = step.headers if step.retry_after is None else {**step.headers, "Retry-After": f"{step.retry_after:g}"}
    return [(name.encode(), value.encode()) for name, value in headers.items()]
