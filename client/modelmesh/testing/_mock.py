"""Clients that answer from a script, over a simulated connection."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from modelmesh._async.client import AsyncOpenAIClient
from modelmesh._async.sender import AsyncSender
from modelmesh._connection.pending_call import PendingCall
from modelmesh._sync.client import OpenAIClient
from modelmesh._sync.sender import Sender
from modelmesh.errors import RequestTimeoutError
from modelmesh.protocol import CHUNK, END, RESPONSE, EndHead, Message, ResponseHead
from modelmesh.testing._shapes import chunks, reply

_MESH = {"pool": "mock", "model": "mock", "provider": "mock", "attempts": []}


class RecordedCall(msgspec.Struct, frozen=True):
    """A call of the app. body: the JSON sent, decoded. timeout: seconds left, None for no limit."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]
    stream: bool
    timeout: float | None

    @property
    def model(self) -> Any:
        return self.body.get("model") if isinstance(self.body, dict) else None

    @property
    def messages(self) -> Any:
        return self.body.get("messages") if isinstance(self.body, dict) else None


class MockConnection:
    """Answers calls from a script, with the interface of a Connection."""

    closed = False

    def __init__(self, responses: Iterable[Any]) -> None:
        self.calls: list[RecordedCall] = []
        self.cancelled: list[RecordedCall] = []
        self._responses = deque(responses)
        self._answers_all = not self._responses

    def submit(self, call: PendingCall) -> None:
        head = call.head
        if call.deadline is not None:
            call.frames()
        timeout = head.deadline_ms / 1000 if head.deadline_ms else None
        body = msgspec.json.decode(call.body) if call.body else None
        recorded = RecordedCall(head.method, head.path, body, head.headers, head.stream, timeout)
        self.calls.append(recorded)
        if self._answers_all:
            response: Any = "ok"
        elif self._responses:
            response = self._responses.popleft()
        else:
            raise AssertionError(f"call {len(self.calls)} ({recorded.path}) came, but the responses are used up")
        if callable(response) and not isinstance(response, type):
            response = response(recorded)
        self._answer(call, recorded, response)

    def request(self, call: PendingCall) -> Message:
        self.submit(call)
        return self.receive(call)

    def receive(self, call: PendingCall) -> Message:
        if not call.inbox:
            raise RequestTimeoutError("the scripted stream has nothing more to say", request_id=call.name)
        item = call.inbox.popleft()
        if isinstance(item, Message):
            call.finished = call.finished or item.kind != CHUNK
            return item
        call.finished = True
        raise item

    def cancel(self, call: PendingCall) -> None:
        if not call.finished:
            call.finished = True
            call.inbox.clear()
            self.cancelled.append(self.calls[-1])

    cancel_soon = cancel

    def credit(self, call: PendingCall, chunks: int) -> None:
        return None

    def release(self) -> None:
        return None

    release_soon = release

    def _answer(self, call: PendingCall, recorded: RecordedCall, response: Any) -> None:
        if isinstance(response, BaseException) or (isinstance(response, type) and issubclass(response, BaseException)):
            raise response
        if not recorded.stream:
            body = msgspec.json.encode(reply(recorded.path, recorded.model, response))
            call.put(Message(RESPONSE, call.request_id, ResponseHead(mesh=_MESH), body))
            return
        for item in chunks(recorded.path, recorded.model, response):
            if isinstance(item, BaseException):
                call.inbox.append(item)  # type: ignore[arg-type]
                return
            call.put(Message(CHUNK, call.request_id, None, msgspec.json.encode(item)))
        call.put(Message(END, call.request_id, EndHead(mesh=_MESH), b""))


class _AsyncMockConnection(MockConnection):
    async def request(self, call: PendingCall) -> Message:  # type: ignore[override]
        self.submit(call)
        return await self.receive(call)

    async def receive(self, call: PendingCall) -> Message:  # type: ignore[override]
        return MockConnection.receive(self, call)


class _Handle:
    """Stands for a client's connections."""

    def __init__(self, connection: MockConnection) -> None:
        self._connection = connection
        self.closed = False

    def connection(self) -> Any:
        return self._connection

    def close(self) -> None:
        self.closed = True


class MockClient(OpenAIClient):
    """An OpenAIClient that answers from a script. calls: every call made, in order; cancelled: streams left early."""

    def __init__(self, responses: Iterable[Any], options: Mapping[str, Any]) -> None:
        self._connection = MockConnection(responses)
        self.calls = self._connection.calls
        self.cancelled = self._connection.cancelled
        super().__init__(os.devnull, **{"max_retries": 0, **options})

    def _make_sender(self, find: Callable[[], str], drain_slack: float, models: Sequence[str]) -> Sender:
        return Sender(self, _Handle(self._connection), models)


class AsyncMockClient(AsyncOpenAIClient):
    """An AsyncOpenAIClient that answers from a script, with `calls` and `cancelled` as MockClient."""

    def __init__(self, responses: Iterable[Any], options: Mapping[str, Any]) -> None:
        self._connection = _AsyncMockConnection(responses)
        self.calls = self._connection.calls
        self.cancelled = self._connection.cancelled
        super().__init__(os.devnull, **{"max_retries": 0, **options})

    def _make_sender(self, find: Callable[[], str], drain_slack: float, models: Sequence[str]) -> AsyncSender:
        return AsyncSender(self, _Handle(self._connection), models)


Response = str | Mapping[str, Any] | list[Any] | BaseException | Callable[[RecordedCall], Any]


def mock_client(responses: Iterable[Response] = (), **options: Any) -> MockClient:
    """A client whose calls are answered by `responses`, one each, in order; with none given, all by "ok".

    A response is a str (the content), a mapping (the whole JSON answer), an exception (raised), a list (of str,
    mappings or exceptions: a stream's chunks, joined for a unary call; of numbers: an embedding), or a callable that
    gets the RecordedCall and returns one of these. options: as for OpenAIClient; `max_retries` is 0 unless given. A
    further call raises AssertionError.
    """
    return MockClient(responses, options)


def async_mock_client(responses: Iterable[Response] = (), **options: Any) -> AsyncMockClient:
    """The same for AsyncOpenAIClient."""
    return AsyncMockClient(responses, options)
