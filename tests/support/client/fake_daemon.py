"""The daemon's end of the protocol, scripted: a real ROUTER socket on a real path, served by one thread.

A test scripts it by a handler, sees all that came in `received`, and waits for something to come with
`wait_for`, which is bounded.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import uuid
from collections.abc import Callable
from typing import Any

import zmq

from modelmesh.protocol import (
    CHUNK,
    CREDIT,
    END,
    ERROR,
    GOAWAY,
    HELLO,
    PING,
    PONG,
    REQUEST,
    RESPONSE,
    WELCOME,
    EndHead,
    ErrorHead,
    GoawayHead,
    Message,
    ResponseHead,
    WelcomeHead,
    decode,
    encode,
)

BOUND = 10.0
Handler = Callable[["FakeDaemon", bytes, Message], None]


def completion(content: str = "Hello", model: str = "scripted.one") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def chunk(text: str, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted.one",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}],
    }


def echo(daemon: FakeDaemon, peer: bytes, message: Message) -> None:
    """Answers with the last message's content; streams it word by word where a stream is asked for."""
    body = json.loads(message.body) if message.body else {}
    text = body["messages"][-1]["content"] if body.get("messages") else "Hello"
    if not message.head.stream:
        daemon.respond(peer, message, completion(text))
        return
    for word in text.split():
        daemon.chunk(peer, message, chunk(word + " "))
    daemon.end(peer, message)


class Paced:
    """A handler, and an `on_credit`, that sends as many chunks as there is credit for, then END."""

    def __init__(self, total: int) -> None:
        self.left = total

    def __call__(self, daemon: FakeDaemon, peer: bytes, message: Message) -> None:
        credit = message.head.chunks if message.kind == CREDIT else message.head.credit
        for _ in range(min(credit, self.left)):
            self.left -= 1
            daemon.chunk(peer, message, chunk(f"{self.left} "))
        if not self.left:
            daemon.end(peer, message)
            self.left = -1


class FakeDaemon:
    def __init__(
        self,
        path: str | os.PathLike[str],
        handler: Handler = echo,
        *,
        heartbeat_ms: int = 5000,
        draining: bool = False,
        welcome: bool = True,
        on_credit: Handler | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.handler = handler
        self.on_credit = on_credit
        self.instance = uuid.uuid4().hex
        self.heartbeat_ms = heartbeat_ms
        self.draining = draining
        self.welcome = welcome
        self.ignored: set[bytes] = set()
        self.received: list[tuple[bytes, Message]] = []
        self._arrived = threading.Condition()
        self._jobs: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK)
        self._stopping = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.bind(f"ipc://{self.path}")
        self._thread = threading.Thread(target=self._serve, name="fake-daemon", daemon=True)
        self._thread.start()

    # What a test sees

    def of_kind(self, kind: bytes) -> list[Message]:
        return [message for _, message in list(self.received) if message.kind == kind]

    def wait_for(self, kind: bytes, count: int = 1) -> list[Message]:
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.of_kind(kind)) >= count, timeout=BOUND)
        assert arrived, f"only {[message.kind for _, message in self.received]} came"
        return self.of_kind(kind)

    @property
    def peers(self) -> list[bytes]:
        return list(dict.fromkeys(peer for peer, _ in list(self.received)))

    # What a handler does, or a test from its own thread through `do`

    def do(self, job: Callable[[], Any]) -> None:
        self._jobs.put(job)
        os.eventfd_write(self._wakeup, 1)

    def send(self, peer: bytes, frames: list[bytes]) -> None:
        self._socket.send_multipart([peer, *frames])

    def respond(self, peer: bytes, message: Message, body: Any, mesh: dict[str, Any] | None = None) -> None:
        head = ResponseHead(mesh=mesh or {"pool": "p", "provider": "scripted", "attempts": []})
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(peer, encode(RESPONSE, message.request_id, head, data))

    def chunk(self, peer: bytes, message: Message, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(peer, encode(CHUNK, message.request_id, None, data))

    def end(self, peer: bytes, message: Message) -> None:
        head = EndHead(usage={"total_tokens": 3}, mesh={"pool": "p", "provider": "scripted"})
        self.send(peer, encode(END, message.request_id, head))

    def error(self, peer: bytes, message: Message, status: int, **mesh: Any) -> None:
        error = {"message": f"status {status}", "type": "t", "code": mesh.pop("code", "c"), "param": None}
        self.send(peer, encode(ERROR, message.request_id, ErrorHead(status, error, mesh)))

    def goaway(self) -> None:
        self.draining = True
        for peer in self.peers:
            self.send(peer, encode(GOAWAY, b"", GoawayHead("restart")))

    # Its life

    def stop(self) -> None:
        """Close the socket and the path. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        os.eventfd_write(self._wakeup, 1)
        self._thread.join(BOUND)
        assert not self._thread.is_alive()
        self._socket.close(200)
        self._context.term()
        os.close(self._wakeup)
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __enter__(self) -> FakeDaemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wakeup, zmq.POLLIN)
        while not self._stopping:
            ready = dict(poller.poll())
            if self._wakeup in ready:
                os.eventfd_read(self._wakeup)
                while not self._jobs.empty():
                    self._jobs.get()()
            if self._socket in ready:
                frames = self._socket.recv_multipart()
                self._take(frames[0], decode(frames[1:]))

    def _take(self, peer: bytes, message: Message) -> None:
        with self._arrived:
            self.received.append((peer, message))
            self._arrived.notify_all()
        if message.kind == HELLO and self.welcome:
            head = WelcomeHead(
                daemon="fake/1",
                instance=self.instance,
                heartbeat_ms=self.heartbeat_ms,
                draining=self.draining,
            )
            self.send(peer, encode(WELCOME, b"", head))
        elif message.kind == PING and peer not in self.ignored:
            self.send(peer, encode(PONG))
        elif message.kind == CREDIT and self.on_credit is not None:
            self.on_credit(self, peer, message)
        elif message.kind == REQUEST and peer not in self.ignored:
            if self.draining:
                self.error(peer, message, 503, code="draining")
            else:
                self.handler(self, peer, message)
