# Generated from modelmesh/_async/resources/files.py by client/sync_twins.py; edit that file.
"""`client.files`: files that the mesh keeps, for batches."""

from __future__ import annotations

from typing import Any, Final

from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.file_answer import FileAnswer
from modelmesh._shared.options import quoted
from modelmesh._sync.resources.resource import Resource
from modelmesh.types import ItemPage, Object

PATH: Final = "/v1/files"


class Files(Resource):
    _called = "client.files"

    def create(self, *, file: Any, purpose: str, expires_after: Any = NOT_GIVEN) -> Object:
        """Upload a file. file: an open file, bytes, a path, or a tuple of a name, one of these and perhaps a content
        type. It is one message, so it may have as many bytes as `daemon.max_message_size`."""
        params = {"purpose": purpose, "expires_after": expires_after}
        return self._sender.send("POST", PATH, Object, params, files={"file": file})  # type: ignore[no-any-return]

    def list(self, *, purpose: Any = None, limit: Any = None, order: Any = None, after: Any = None) -> ItemPage:
        """A page of those that this app has uploaded, the newest first, and the results of its batches."""
        query = {"purpose": purpose, "limit": limit, "order": order, "after": after}
        given = {name: value for name, value in query.items() if value is not None}
        return self._sender.send("GET", PATH, ItemPage, extra_query=given)  # type: ignore[no-any-return]

    def retrieve(self, file_id: str) -> Object:
        """Its name and size. Raises NotFoundError."""
        return self._sender.send("GET", f"{PATH}/{quoted(file_id)}")  # type: ignore[no-any-return]

    def content(self, file_id: str) -> FileAnswer:
        """Its bytes. Raises NotFoundError."""
        stream = self.pieces(file_id)
        try:
            content = b"".join(list(stream))
        finally:
            stream.close()
        return FileAnswer(content, stream.content_type)

    def pieces(self, file_id: str) -> Any:
        """Its bytes as they come: iterate, and `close` it. Raises NotFoundError."""
        call = self._sender.call("GET", f"{PATH}/{quoted(file_id)}/content", stream=True)
        return self._sender.answer(call, None)

    def delete(self, file_id: str) -> Object:
        return self._sender.send("DELETE", f"{PATH}/{quoted(file_id)}")  # type: ignore[no-any-return]

    def _parts(self) -> list[str]:  # type: ignore[valid-type]
        return ["content", "create", "delete", "list", "pieces", "retrieve"]
