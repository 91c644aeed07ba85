"""`client.documents`, which the OpenAI SDK does not have."""

from __future__ import annotations

from typing import Any

from modelmesh._async.resources.resource import AsyncResource
from modelmesh.types import Object


class AsyncDocuments(AsyncResource):
    _called = "client.documents"

    async def parse(self, *, file: Any, **params: Any) -> Any:
        """Extract the text of a document: an Object with `text`, `format` (`markdown` or `text`), `pages` and, if the
        service reports them, `elements`. file: an open file, bytes, a path, or a tuple of a name, one of these and
        perhaps a content type.

        languages, output (`markdown`, `text`), elements, instructions.
        """
        return await self._sender.ask("/v1/documents/parse", Object, "document-parsing", params, files={"file": file})

    def _parts(self) -> list[str]:
        return ["parse"]
