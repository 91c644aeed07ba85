"""`client.responses`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modelmesh._async.pages import AsyncCursorPage, async_pages
from modelmesh._async.resources.resource import AsyncResource
from modelmesh._openai_sdk.arguments import NOT_GIVEN, given
from modelmesh._shared.base_sender import as_read
from modelmesh._shared.options import quoted
from modelmesh.types import AsyncPages, Response, ResponseEvent

if TYPE_CHECKING:
    from modelmesh._async.sender import AsyncSender

PATH: Final = "/v1/responses"


class AsyncInputItems(AsyncResource):
    _called = "client.responses.input_items"

    def list(
        self, response_id: str, *, after: Any = None, limit: Any = None, order: Any = None, **options: Any
    ) -> AsyncPages[AsyncCursorPage]:
        """The input of a response that the mesh has kept, in the order `asc` or `desc`. Iterates over all items that
        follow the item `after`; with asyncio, `await` gives the first page of at most `limit`. Raises
        NotFoundError."""
        query = {"after": after, "limit": limit, "order": order}
        return async_pages(self._sender, f"{PATH}/{quoted(response_id)}/input_items", query, **options)


class AsyncResponses(AsyncResource):
    _called = "client.responses"

    def __init__(self, sender: AsyncSender) -> None:
        super().__init__(sender)
        self.input_items = AsyncInputItems(sender)

    async def create(self, *, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Answer an `input`: a Response, or with `stream` its events."""
        kind = ResponseEvent if stream else Response
        return await self._sender.ask(PATH, kind, "chat-completion", {"stream": stream, **params}, stream=bool(stream))

    async def retrieve(
        self, response_id: str, *, stream: Any = NOT_GIVEN, starting_after: Any = NOT_GIVEN, **options: Any
    ) -> Any:
        """A Response that the mesh has kept. With `stream`, the events of a background response that was created with
        `stream`, or only those after the event number `starting_after`. Raises NotFoundError."""
        path = f"{PATH}/{quoted(response_id)}"
        if not stream:
            return await self._sender.send("GET", path, Response, **options)
        query = {"stream": "true"} | ({"starting_after": starting_after} if given(starting_after) else {})
        options["extra_query"] = {**query, **(options.get("extra_query") or {})}
        return await self._sender.send("GET", path, ResponseEvent, stream=True, **options)

    async def delete(self, response_id: str, **options: Any) -> None:
        answer = await self._sender.send("DELETE", f"{PATH}/{quoted(response_id)}", **options)
        return as_read(answer, lambda _: None)  # type: ignore[no-any-return]

    async def cancel(self, response_id: str, **options: Any) -> Response:
        """Cancel a background response."""
        path = f"{PATH}/{quoted(response_id)}/cancel"
        return await self._sender.send("POST", path, Response, {}, **options)  # type: ignore[no-any-return]

    def _parts(self) -> list[str]:
        return ["cancel", "create", "delete", "input_items", "retrieve"]
