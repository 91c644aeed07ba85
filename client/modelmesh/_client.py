"""`OpenAIClient`: the blocking client.

Must never: differ from `_async_client.py` except in how it waits.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from modelmesh import _connection, _housekeeping
from modelmesh._base_client import BaseClient, Operation, checked, parsed
from modelmesh._call import Call
from modelmesh._sdk_errors import as_sdk_error
from modelmesh._streaming import Stream, decode_as
from modelmesh.errors import MeshError
from modelmesh.protocol import Message
from modelmesh.resources.chat import Beta, Chat
from modelmesh.resources.completions import Completions
from modelmesh.resources.embeddings import Embeddings
from modelmesh.resources.mesh import Mesh
from modelmesh.resources.models import Models

if TYPE_CHECKING:
    from types import TracebackType


class Line:
    """A client's use of the process's connection; copies of the client share it."""

    def __init__(self) -> None:
        self._connection: _connection.Connection | None = None
        self._lock = threading.RLock()  # a signal handler may use it as well
        self.hung_up = False

    def connection(self, client: BaseClient) -> _connection.Connection:
        """The connection, opened if needed (again after a fork). Raises DaemonUnavailableError."""
        connection = self._connection
        if connection is not None and not connection.closed:
            return connection.for_new_call()
        with self._lock:
            if self.hung_up:
                raise MeshError("the client was closed", code="client_closed")
            if self._connection is None or self._connection.closed:
                self._connection = _connection.acquire(client._address())
            return self._connection.for_new_call()

    def hang_up(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            self.hung_up = True
        if connection is not None and not connection.closed:
            connection.release()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and not connection.closed:
            _housekeeping.later(connection.release)


class OpenAIClient(BaseClient):
    """The OpenAI API over the mesh's socket. May be shared by threads, and used after a fork.

    socket: path or `ipc://` address of the daemon; found automatically if None. timeout: seconds a call may take,
    including retries and a restart of the daemon, and then each chunk of a stream. app: a label for the daemon's log.
    Other arguments of the OpenAI SDK's client (`api_key`, `base_url`, …) are accepted, with a warning that they have no
    effect.

    Every method raises MeshError or a class below it: DaemonUnavailableError (no daemon there, `.paths` says
    where), RequestTimeoutError, and what the daemon answers.
    """

    chat: Chat
    completions: Completions
    embeddings: Embeddings
    models: Models
    mesh: Mesh
    _line: Line

    def close(self) -> None:
        """Release the connection; it is closed with the process's last client. Idempotent."""
        self._line.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def beta(self) -> Beta:
        """The OpenAI SDK's older place for `chat.completions.parse` and `stream`."""
        return Beta(self)

    def _make_line(self) -> Line:
        return Line()

    def _make_resources(self) -> None:
        self.chat = Chat(self)
        self.completions = Completions(self)
        self.embeddings = Embeddings(self)
        self.models = Models(self)
        self.mesh = Mesh(self)

    def _send(self, operation: Operation) -> Any:
        """The answer's object, or a Stream for a streamed call."""
        try:
            return self._sent(operation)
        except MeshError as error:
            as_sdk_error(error)
            raise

    def _sent(self, operation: Operation) -> Any:
        while True:
            connection = self._line.connection(self)
            call = self._call(operation)
            try:
                message = checked(connection.request(call), call)
            except MeshError as error:
                delay = self._back_off(operation, error)
                time.sleep(delay)
                continue
            if self._answers is not None:
                parse = partial(self._read, connection, call, operation, message)
                return self._answers(message, call, operation, parse)
            return self._read(connection, call, operation, message)

    @staticmethod
    def _read(connection: Any, call: Call, operation: Operation, message: Message) -> Any:
        if operation.stream:
            return Stream(connection, call, decode_as(operation.kind), message)
        return parsed(message, call, operation.kind)

    def _listen(self, operation: Operation) -> Any:
        """A Stream that does not wait for its first event."""
        connection = self._line.connection(self)
        call = self._call(operation)
        connection.submit(call)
        return Stream(connection, call, decode_as(operation.kind))
