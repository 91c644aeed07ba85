"""`client.responses`."""

from __future__ import annotations

from typing import Any, Final

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.options import quoted
from modelmesh.types import Response, ResponseEvent

PATH: Final = "/v1/responses"


class AsyncResponses(AsyncResource):
    _called = "client.responses"

    async def create(self, *, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Answer an `input`: a Response, or with `stream` its events."""
        kind = ResponseEvent if stream else Response
        return await self._sender.ask(PATH, kind, "chat-completion", {"stream": stream, **params}, stream=bool(stream))

    async def retrieve(self, response_id: str) -> Response:
        """One that the mesh has kept. Raises NotFoundError."""
        return await self._sender.send("GET", f"{PATH}/{quoted(response_id)}", Response)  # type: ignore[no-any-return]

    async def delete(self, response_id: str) -> None:
        await self._sender.send("DELETE", f"{PATH}/{quoted(response_id)}")

    async def cancel(self, response_id: str) -> Response:
        """End one in the background."""
        path = f"{PATH}/{quoted(response_id)}/cancel"
        return await self._sender.send("POST", path, Response, {})  # type: ignore[no-any-return]
