"""What a request said and what its app got, for a log that wants it.

Owns: how many bytes of that are held, over all requests, until telemetry has read them.
Must never: be kept with what `meshctl` shows; contents go to sinks alone.
"""

from __future__ import annotations

import threading

ROOM = 32 * 1024 * 1024


class ContentRoom:
    """The bytes that all contents may take together. Two threads use it."""

    def __init__(self, limit: int = ROOM) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there is room."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


class Content:
    """The content of one request. It grows until the request has ended, and is released once it has been read.

    operation, format: the names of those that the app used. most: how many bytes of prompt and of answer are held.
    prompt:
    the beginning of the body. chunks: the answer, as events if it was streamed. prompt_size,
    answer_size: bytes of all of it. is_file: the answer is a file, which is not held. left_out: there was no room.
    """

    __slots__ = (
        "_held",
        "_most",
        "_room",
        "answer_size",
        "chunks",
        "format",
        "is_file",
        "left_out",
        "operation",
        "prompt",
        "prompt_size",
        "streamed",
    )

    def __init__(self, room: ContentRoom, operation: str, format: str, body: bytes, most: int) -> None:
        self.operation = operation
        self.format = format
        self.prompt = b""
        self.prompt_size = len(body)
        self.chunks: list[bytes] = []
        self.answer_size = 0
        self.streamed = False
        self.is_file = False
        self.left_out = False
        self._room = room
        self._most = most
        self._held = 0
        if self._has_room_for(min(len(body), most)):
            self.prompt = body[:most]  # the body itself, if it is no longer than that

    def __del__(self) -> None:
        self.release()

    def add(self, data: bytes, *, streamed: bool) -> None:
        """More of the answer."""
        self.streamed = streamed
        begun = self.answer_size
        self.answer_size += len(data)
        if self.is_file or begun >= self._most:
            return
        data = data[: self._most - begun] if not streamed else data
        if self._has_room_for(len(data)):
            self.chunks.append(data)

    def release(self) -> None:
        """Idempotent."""
        held, self._held = self._held, 0
        self._room.give_back(held)
        self.prompt, self.chunks = b"", []

    def _has_room_for(self, size: int) -> bool:
        if self.left_out or not self._room.take(size):
            self.left_out = True
            return False
        self._held += size
        return True
