"""How a stream's messages become items, and when CREDIT and CANCEL are due.

Must never: wait, or hold an item back to see what follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from modelmesh._connection.pending_call import PendingCall
from modelmesh._objects import lenient_json
from modelmesh._objects.model_methods import json_of
from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh.errors import MeshError, ProtocolError, StreamInterrupted, from_wire
from modelmesh.protocol import CHUNK, DEFAULT_CREDIT, END, ERROR, RESPONSE, Message
from modelmesh.types import MeshDetails, Object

if TYPE_CHECKING:
    from modelmesh._http_view import HttpResponse

T = TypeVar("T")
_TOP_UP: Final = DEFAULT_CREDIT // 2


def decode_as(kind: type[Object]) -> Callable[[bytes], Any]:
    """How a chunk's body becomes an object of that kind."""

    def decode(body: bytes) -> Object:
        try:
            json = lenient_json.decode(body)
        except ValueError as error:
            raise ProtocolError(f"a chunk is not JSON: {error}") from None
        return kind.of(json) if isinstance(json, dict) else kind.of({"data": json})

    return decode


class Reading(Generic[T]):
    """What both kinds of stream share.

    `mesh` and `usage` are set at the end; until then, and if the daemon sent none, they are None. The last item's
    `mesh` is set then as well. content_type: of a file, "" for events.
    """

    _connection: Any

    def __init__(self, call: PendingCall, decode: Callable[[bytes], T], first: Message | None) -> None:
        self._call = call
        self._decode = decode
        self._first = first
        self._ended = False
        self._unacknowledged = 0
        self._last: T | None = None
        self._text: list[str] = []
        self.mesh: MeshDetails | None = None
        self.usage: dict[str, Any] | None = None
        self._request_id = call.name
        head = first.head if first is not None and first.kind == CHUNK else None
        self.content_type: str = head.headers.get("content-type", "") if head is not None else ""

    @property
    def response(self) -> HttpResponse:
        """The stream as an HTTP response: status, headers, and a way to end it."""
        from modelmesh._http_view import HttpRequest, HttpResponse, response_headers

        head = self._call.head
        request = HttpRequest(head.method, head.path, head.headers, self._call.body)
        headers = response_headers(self._request_id)
        return HttpResponse(200, headers, request, None, closed=lambda: self._ended, close=self.stop)

    def undecoded(self) -> Any:
        """The same stream, whose items are the received bytes from now on."""
        self._decode = bytes  # type: ignore[assignment]
        return self

    @property
    def ended(self) -> bool:
        return self._ended

    def stop(self) -> None:
        """Like `close`, for either kind of stream."""
        self._ended = True
        self._connection.cancel(self._call)

    def _item(self, message: Message) -> T | None:
        """The item of a message, None at the end. Raises the error that an ERROR describes."""
        kind = message.kind
        if kind == CHUNK:
            item = self._decode(message.body)
            self._unacknowledged += 1
            self._last = item
            if isinstance(item, Object):
                item._request_id = self._request_id
                self._remember_text(item)
            if self._call.inbox and getattr(self._call.inbox[0], "kind", None) == END:
                self._attach(self._call.inbox[0])
            return item
        self._ended = True
        if kind == END:
            self._attach(message)
        elif kind == ERROR:
            raise self._told(from_wire(message.head.status, message.head.error, message.head.mesh, self._request_id))
        elif kind == RESPONSE:
            raise ProtocolError("expected a stream but got a single answer", request_id=self._request_id)
        return None

    def _attach(self, message: Any) -> None:
        head = message.head
        self.mesh = MeshDetails.of(head.mesh)
        self.usage = head.usage
        if isinstance(self._last, Object):
            self._last.mesh = self.mesh

    def _remember_text(self, item: Object) -> None:
        choices = json_of(item).get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                delta = choice.get("delta")
                text = choice.get("text") or (delta.get("content") if isinstance(delta, dict) else None)
                if isinstance(text, str):
                    self._text.append(text)
                    continue
                for part in text if isinstance(text, list) else (text,):
                    said = part.get("text") if isinstance(part, dict) else part
                    if isinstance(said, str):
                        self._text.append(said)

    def _told(self, error: MeshError) -> MeshError:
        """The error, with the text so far if a stream broke."""
        if isinstance(error, StreamInterrupted):
            error.extra.setdefault("text", "".join(self._text))
        return as_sdk_error(error)

    def _wait_again(self) -> None:
        if self._call.patience is not None:
            self._call.deadline = time.monotonic() + self._call.patience

    def _due_credit(self) -> int:
        """Chunks to grant now, 0 for none."""
        if self._unacknowledged < _TOP_UP:
            return 0
        due, self._unacknowledged = self._unacknowledged, 0
        return due
