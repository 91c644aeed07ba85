# Generated from modelmesh/_async/resources/files.py by client/sync_twins.py; edit that file.
"""`client.files`: files that the mesh keeps, for batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.options import quoted
from modelmesh._sync.pages import CursorPage, pages
from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Object, Pages

if TYPE_CHECKING:
    from modelmesh._connection.pending_call import PendingCall
    from modelmesh._shared.file_answer import FileAnswer

PATH: Final = "/v1/files"


class Files(Resource):
    _called = "client.files"

    def create(self, *, file: Any, purpose: str, expires_after: Any = NOT_GIVEN, **options: Any) -> Object:
        """Upload a file. file: an open file, bytes, a path, or a tuple of a name, one of these and perhaps a content
        type. It is sent as one message, so it is limited to `daemon.max_message_size` bytes."""
        params = {"purpose": purpose, "expires_after": expires_after}
        return self._sender.send("POST", PATH, Object, params, files={"file": file}, **options)  # type: ignore[no-any-return]

    def list(
        self, *, purpose: Any = None, limit: Any = None, order: Any = None, after: Any = None, **options: Any
    ) -> Pages[CursorPage]:
        """The files that this app has uploaded, and the results of its batches, the newest first. Iterates over all of
        them; with asyncio, `await` gives the first page of at most `limit`."""
        query = {"purpose": purpose, "limit": limit, "order": order, "after": after}
        return pages(self._sender, PATH, query, **options)

    def retrieve(self, file_id: str, **options: Any) -> Object:
        """The file's name and size. Raises NotFoundError."""
        return self._sender.send("GET", f"{PATH}/{quoted(file_id)}", **options)  # type: ignore[no-any-return]

    def content(self, file_id: str, **options: Any) -> FileAnswer:
        """The content of a file. Raises NotFoundError."""
        return self._sender.file(self._content(file_id, **options))  # type: ignore[no-any-return]

    def pieces(self, file_id: str) -> Any:
        """Its bytes as they come: iterate over it, then `close` it. Raises NotFoundError."""
        return self._sender.answer(self._content(file_id), None)

    def _content(self, file_id: str, **options: Any) -> PendingCall:
        return self._sender.call("GET", f"{PATH}/{quoted(file_id)}/content", stream=True, **options)

    def delete(self, file_id: str, **options: Any) -> Object:
        return self._sender.send("DELETE", f"{PATH}/{quoted(file_id)}", **options)  # type: ignore[no-any-return]

    def _parts(self) -> list[str]:  # type: ignore[valid-type]
        return ["content", "create", "delete", "list", "pieces", "retrieve"]
