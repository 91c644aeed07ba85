"""`client.translate`, which the OpenAI SDK does not have."""

from __future__ import annotations

from typing import Any

from modelmesh._async.resources.resource import AsyncResource
from modelmesh.types import Object


class AsyncTranslate(AsyncResource):
    _called = "client.translate"

    async def create(self, *, text: str | list[str], target: str, **params: Any) -> Any:
        """Translate texts: an Object whose `translations` have `text` and `source`, the language that was given or
        detected. target, source: languages, such as `de` or `pt-BR`.

        formality (`more`, `less`, `default`), format (`text`, `html`), context.
        """
        asked = {"text": text, "target": target, **params}
        return await self._sender.ask("/v1/translate", Object, "translation", asked)
