# Generated from modelmesh/_async/resources/responses.py by client/sync_twins.py; edit that file.
"""`client.responses`."""

from __future__ import annotations

from typing import Any, Final

from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.options import quoted
from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Response, ResponseEvent

PATH: Final = "/v1/responses"


class Responses(Resource):
    _called = "client.responses"

    def create(self, *, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Answer an `input`: a Response, or with `stream` its events."""
        kind = ResponseEvent if stream else Response
        return self._sender.ask(PATH, kind, "chat-completion", {"stream": stream, **params}, stream=bool(stream))

    def retrieve(self, response_id: str) -> Response:
        """One that the mesh has kept. Raises NotFoundError."""
        return self._sender.send("GET", f"{PATH}/{quoted(response_id)}", Response)  # type: ignore[no-any-return]

    def delete(self, response_id: str) -> None:
        self._sender.send("DELETE", f"{PATH}/{quoted(response_id)}")

    def cancel(self, response_id: str) -> Response:
        """End one in the background."""
        path = f"{PATH}/{quoted(response_id)}/cancel"
        return self._sender.send("POST", path, Response, {})  # type: ignore[no-any-return]
