"""A provider that answers by itself."""

import json
from collections.abc import AsyncIterator

from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    StreamEvent,
    Usage,
)


class Parrot(Provider):
    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        text = self._answer(call)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "p", "object": "chat.completion", "model": call.model, "choices": [choice]}
        return ProviderAnswer(json.dumps(body).encode(), usage=Usage(3, len(text.split())))

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        for word in self._answer(call).split():
            yield self._event(call, {"content": f"{word} "}, text=f"{word} ")
        yield self._event(call, {}, finish_reason="stop")

    async def list_models(self) -> list[ModelListing]:
        return [ModelListing(id="grey", capabilities=("chat-completion",))]

    def _answer(self, call: ProviderCall) -> str:
        if self.settings.api_key != "cracker":
            raise ProviderFailure(FailureKind.AUTHENTICATION, "the parrot wants a cracker", status=401)
        messages = json.loads(bytes(call.fields["messages"]))
        return f"{self.settings.options['greeting']} from {call.model}: {messages[-1]['content']}"

    @staticmethod
    def _event(
        call: ProviderCall, delta: dict[str, str], text: str = "", finish_reason: str | None = None
    ) -> StreamEvent:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {"id": "p", "object": "chat.completion.chunk", "model": call.model, "choices": [choice]}
        return StreamEvent(json.dumps(chunk).encode(), bool(text), text, finish_reason)
