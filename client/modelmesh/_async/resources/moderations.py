"""`client.moderations`."""

from __future__ import annotations

from typing import Any

from modelmesh._async.resources.resource import AsyncResource
from modelmesh.types import Object


class AsyncModerations(AsyncResource):
    _called = "client.moderations"

    async def create(self, *, input: Any, **params: Any) -> Any:
        """Classify whether texts or images are harmful: an Object with `results`."""
        return await self._sender.ask("/v1/moderations", Object, "content-moderation", {"input": input, **params})
