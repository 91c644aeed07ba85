"""`client.responses`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._openai_sdk.arguments import NOT_GIVEN, given
from modelmesh._shared.options import quoted
from modelmesh.types import ItemPage, Response, ResponseEvent

if TYPE_CHECKING:
    from modelmesh._async.sender import AsyncSender

PATH: Final = "/v1/responses"


class AsyncInputItems(AsyncResource):
    _called = "client.responses.input_items"

    async def list(self, response_id: str, *, after: Any = None, limit: Any = None, order: Any = None) -> ItemPage:
        """The input of one that the mesh has kept: a page of at most `limit` items after the one of that id, in the
        order `asc` or `desc`. Raises NotFoundError."""
        query = {"after": after, "limit": limit, "order": order}
        sent = {name: value for name, value in query.items() if value is not None}
        path = f"{PATH}/{quoted(response_id)}/input_items"
        return await self._sender.send("GET", path, ItemPage, extra_query=sent)  # type: ignore[no-any-return]


class AsyncResponses(AsyncResource):
    _called = "client.responses"

    def __init__(self, sender: AsyncSender) -> None:
        super().__init__(sender)
        self.input_items = AsyncInputItems(sender)

    async def create(self, *, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Answer an `input`: a Response, or with `stream` its events."""
        kind = ResponseEvent if stream else Response
        return await self._sender.ask(PATH, kind, "chat-completion", {"stream": stream, **params}, stream=bool(stream))

    async def retrieve(self, response_id: str, *, stream: Any = NOT_GIVEN, starting_after: Any = NOT_GIVEN) -> Any:
        """One that the mesh has kept: a Response. With `stream`, the events of one in the background that was begun
        with `stream`; only those after the one that is numbered `starting_after`, if it is given. Raises
        NotFoundError."""
        path = f"{PATH}/{quoted(response_id)}"
        if not stream:
            return await self._sender.send("GET", path, Response)
        query = {"stream": "true"} | ({"starting_after": starting_after} if given(starting_after) else {})
        return await self._sender.send("GET", path, ResponseEvent, extra_query=query, stream=True)

    async def delete(self, response_id: str) -> None:
        await self._sender.send("DELETE", f"{PATH}/{quoted(response_id)}")

    async def cancel(self, response_id: str) -> Response:
        """End one in the background."""
        path = f"{PATH}/{quoted(response_id)}/cancel"
        return await self._sender.send("POST", path, Response, {})  # type: ignore[no-any-return]

    def _parts(self) -> list[str]:
        return ["cancel", "create", "delete", "input_items", "retrieve"]
