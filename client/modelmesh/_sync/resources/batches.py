# Generated from modelmesh/_async/resources/batches.py by client/sync_twins.py; edit that file.
"""`client.batches`: many requests of a file, answered in the background."""

from __future__ import annotations

from typing import Any, Final

from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.options import quoted
from modelmesh._sync.resources.resource import Resource
from modelmesh.types import ItemPage, Object

PATH: Final = "/v1/batches"


class Batches(Resource):
    _called = "client.batches"

    def create(
        self,
        *,
        input_file_id: str,
        endpoint: str,
        completion_window: str = "24h",
        metadata: Any = NOT_GIVEN,
        output_expires_after: Any = NOT_GIVEN,
    ) -> Object:
        """Run the requests of a file, which has been uploaded for the purpose `batch`."""
        params = {
            "input_file_id": input_file_id,
            "endpoint": endpoint,
            "completion_window": completion_window,
            "metadata": metadata,
            "output_expires_after": output_expires_after,
        }
        return self._sender.send("POST", PATH, Object, params)  # type: ignore[no-any-return]

    def retrieve(self, batch_id: str) -> Object:
        """As it is now. Raises NotFoundError."""
        return self._sender.send("GET", f"{PATH}/{quoted(batch_id)}")  # type: ignore[no-any-return]

    def list(self, *, limit: Any = None, after: Any = None) -> ItemPage:
        """A page of this app's, the newest first."""
        given = {name: value for name, value in {"limit": limit, "after": after}.items() if value is not None}
        return self._sender.send("GET", PATH, ItemPage, extra_query=given)  # type: ignore[no-any-return]

    def cancel(self, batch_id: str) -> Object:
        """Send no more of its requests; those in flight end."""
        return self._sender.send("POST", f"{PATH}/{quoted(batch_id)}/cancel", Object, {})  # type: ignore[no-any-return]

    def _parts(self) -> list[str]:  # type: ignore[valid-type]
        return ["cancel", "create", "list", "retrieve"]
