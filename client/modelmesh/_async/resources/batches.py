"""`client.batches`: many requests from a file, answered in the background."""

from __future__ import annotations

from typing import Any, Final

from modelmesh._async.pages import AsyncCursorPage, async_pages
from modelmesh._async.resources.resource import AsyncResource
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.options import quoted
from modelmesh.types import AsyncPages, Object

PATH: Final = "/v1/batches"


class AsyncBatches(AsyncResource):
    _called = "client.batches"

    async def create(
        self,
        *,
        input_file_id: str,
        endpoint: str,
        completion_window: str = "24h",
        metadata: Any = NOT_GIVEN,
        output_expires_after: Any = NOT_GIVEN,
        **options: Any,
    ) -> Object:
        """Run the requests of a file that was uploaded for the purpose `batch`."""
        params = {
            "input_file_id": input_file_id,
            "endpoint": endpoint,
            "completion_window": completion_window,
            "metadata": metadata,
            "output_expires_after": output_expires_after,
        }
        return await self._sender.send("POST", PATH, Object, params, **options)  # type: ignore[no-any-return]

    async def retrieve(self, batch_id: str, **options: Any) -> Object:
        """The current state of a batch. Raises NotFoundError."""
        return await self._sender.send("GET", f"{PATH}/{quoted(batch_id)}", **options)  # type: ignore[no-any-return]

    def list(self, *, limit: Any = None, after: Any = None, **options: Any) -> AsyncPages[AsyncCursorPage]:
        """This app's batches, the newest first. Iterates over all of them; with asyncio, `await` gives the first page
        of at most `limit`."""
        return async_pages(self._sender, PATH, {"limit": limit, "after": after}, **options)

    async def cancel(self, batch_id: str, **options: Any) -> Object:
        """Cancel a batch; its requests in flight are completed."""
        path = f"{PATH}/{quoted(batch_id)}/cancel"
        return await self._sender.send("POST", path, Object, {}, **options)  # type: ignore[no-any-return]

    def _parts(self) -> list[str]:  # type: ignore[valid-type]
        return ["cancel", "create", "list", "retrieve"]
