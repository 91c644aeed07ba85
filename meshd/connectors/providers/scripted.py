"""`modelmesh.scripted.v1`: answers and faults from a script, without a network, for tests and demonstrations.

Owns: playing a script's steps as a provider would.
Must never: pass for a model: every answer carries `"system_fingerprint": "scripted"`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from meshd.cdk.provider import (
    FailureKind,
    ModelListing,
    Operation,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
)
from meshd.connectors.providers import _wire, script
from meshd.connectors.providers._errors import classify, failure_from_error_object, read_error
from meshd.connectors.providers._headers import rate_limits
from meshd.connectors.providers._models import guess_capabilities
from meshd.connectors.providers.script import Fault, Script, Step


class ScriptedProvider(Provider):
    """Settings under `options`: `models`, `script`, `cycle` (see `script.py`), `capabilities` of all its models."""

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.script = Script(settings.options)
        self._capabilities = tuple(settings.options.get("capabilities") or ())

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        step = self.script.take(call.model)
        request = _request(call)
        try:
            async with asyncio.timeout(call.timeout):
                await asyncio.sleep(step.delay_seconds)
                if step.fault in (Fault.TIMEOUT, Fault.SILENCE):
                    await asyncio.Event().wait()
        except TimeoutError:
            raise _failure(FailureKind.TIMEOUT, f"no answer within {call.timeout:g} s") from None
        self._raise_error(step)
        if step.fault is Fault.ERROR_EVENT:
            raise failure_from_error_object(_error_object(step))
        if step.fault in (Fault.RESET, Fault.CLEAN_CLOSE, Fault.CUT_CHUNK):
            raise _failure(FailureKind.CONNECTION, f"the connection broke ({step.fault})")
        if step.fault is not None:
            raise _failure(FailureKind.BAD_ANSWER, f"that was no answer ({step.fault})")
        body = script.answer(step, request)
        answer = _wire.decode_answer(body)
        return ProviderAnswer(body, _wire.usage_of(answer.usage), rate_limits(_raw(step)))

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        step = self.script.take(call.model)
        hide_usage = "stream_options" not in call.fields
        request = _request(call)
        if step.delay_seconds > call.first_token_timeout:
            step = msgspec.structs.replace(step, fault=Fault.TIMEOUT, delay=0.0)
        await asyncio.sleep(step.delay_seconds)
        self._raise_error(step)
        if step.fault in (Fault.EMPTY, Fault.HTML, Fault.TIMEOUT):
            await self._break(step, 0, call)
        chunks = script.content_chunks(step, request)
        sent = chunks if step.fault is None or step.fault is Fault.BAD_CHUNK else chunks[: step.after]
        for payload in sent:
            yield _wire.read_event(payload, hide_usage=hide_usage)[0]
            await asyncio.sleep(step.chunk_delay_seconds)
        if step.fault is not None and step.fault is not Fault.BAD_CHUNK:
            await self._break(step, len(sent), call)
        for payload in script.last_chunks(step, request):
            yield _wire.read_event(payload, hide_usage=hide_usage)[0]

    async def list_models(self) -> list[ModelListing]:
        return [
            ModelListing(id=model, capabilities=self._capabilities or guess_capabilities(model))
            for model in self.script.models
        ]

    async def probe(self, method: str, model: str | None, timeout: float) -> float:
        return 0.0

    def describe(self) -> dict[str, Any]:
        return {"scripted": True, "served": self.script.served, "served_by_model": dict(self.script.served_by_model)}

    async def aclose(self) -> None:
        return None

    def _raise_error(self, step: Step) -> None:
        if step.error is None:
            return
        body = script.error_body(step)
        words = read_error(body)
        raise ProviderFailure(
            classify(step.error, words), words.message, status=step.error, body=body, retry_after=step.retry_after
        )

    async def _break(self, step: Step, sent: int, call: ProviderCall) -> None:
        """Fail as the real connector fails when the real thing happens."""
        fault = step.fault
        if fault in (Fault.TIMEOUT, Fault.SILENCE):
            await asyncio.sleep(call.idle_timeout if sent else call.first_token_timeout)
            kind = FailureKind.STREAM_CUT if sent else FailureKind.TIMEOUT
            raise _failure(kind, "fell silent")
        if fault is Fault.ERROR_EVENT:
            raise failure_from_error_object(_error_object(step))
        if fault is Fault.RESET and not sent:
            raise _failure(FailureKind.CONNECTION, "connection reset")
        kind = FailureKind.STREAM_CUT if sent else FailureKind.BAD_ANSWER
        raise _failure(kind, f"the stream broke ({fault})")


def _request(call: ProviderCall) -> script.Request:
    fields = {name: msgspec.json.decode(raw) for name, raw in call.fields.items()}
    if call.stream and call.operation is not Operation.EMBEDDINGS:
        fields.setdefault("stream_options", {"include_usage": True})
    return script.Request(call.operation, call.model, fields)


def _failure(kind: FailureKind, what: str) -> ProviderFailure:
    return ProviderFailure(kind, f"scripted: {what}")


def _error_object(step: Step) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(script.error_event(step))["error"])


def _raw(step: Step) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in step.headers.items()]
