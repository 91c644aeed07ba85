"""A client without the client library."""

from __future__ import annotations

import json
from typing import Any

from tests.support.waiting import WAIT


def answers(path: Any, seconds: float = 0.5) -> bool:
    """Whether a daemon answers there within that time."""
    line = Line(path, greet=False)
    try:
        line.send(line.wire.HELLO)
        return bool(line.socket.poll(seconds * 1000))
    finally:
        line.close()


class Line:
    """A bare DEALER: what a client in another language is made of. `options`: of the zmq socket, before it dials.
    socket: to use instead, which has dialled."""

    def __init__(self, path: Any, greet: bool = True, socket: Any = None, **options: Any) -> None:
        from modelmesh import protocol

        self.wire = protocol
        self.socket = _dialled(path, options) if socket is None else socket
        if greet:
            self.send(protocol.HELLO)
            self.welcome = self.receive(protocol.WELCOME).head

    def send(self, kind: bytes, request_id: bytes = b"", head: Any = None, body: bytes = b"") -> None:
        self.socket.send_multipart(self.wire.encode(kind, request_id, head, body))

    def frames(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames))

    def request(
        self, path: str = "/v1/chat/completions", body: Any = None, *, id: bytes | None = None, **head: Any
    ) -> bytes:
        """Send a REQUEST; its id."""
        request_id = self.wire.new_request_id() if id is None else id
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send(self.wire.REQUEST, request_id, self.wire.RequestHead(path=path, **head), content)
        return request_id

    def chat(self, text: str = "hi", model: str = "chat-completion", *, id: bytes | None = None, **head: Any) -> bytes:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
        if head.get("stream"):
            body["stream"] = True
        return self.request(body=body, id=id, **head)

    def receive(self, kind: bytes | None = None, seconds: float = WAIT) -> Any:
        """The next message, which has to be of that kind."""
        assert self.socket.poll(seconds * 1000), f"nothing came within {seconds:g} s"
        message = self.wire.decode(self.socket.recv_multipart())
        wanted = "" if kind is None else self.wire.KIND_NAMES[kind]
        assert kind in (None, message.kind), f"{message} instead of {wanted}"
        return message

    def quiet(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes for so long."""
        return not self.socket.poll(seconds * 1000)

    def round_trip(self) -> None:
        """Everything sent before has been handled when this returns."""
        self.send(self.wire.PING)
        while self.receive().kind != self.wire.PONG:
            pass

    def close(self) -> None:
        self.socket.close(0)


def _dialled(path: Any, options: dict[str, Any]) -> Any:
    import zmq

    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.RCVHWM, 0)
    for name, value in options.items():
        socket.set(getattr(zmq, name), value)
    socket.connect(str(path) if "://" in str(path) else f"ipc://{path}")
    return socket
