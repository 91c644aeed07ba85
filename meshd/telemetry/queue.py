"""Between the telemetry actor and a sink: a bounded queue and the sink's own thread.

Owns: entries that wait, dropped entries, and the sink's outages.
Must never: block or raise in `put`. A slow or dead sink loses entries, which are counted.

The thread starts with the first entry and ends when none comes for a while, so an idle daemon has none.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from meshd.connectors.observability.in_words import in_words
from meshd.sdk.observability import Entry, NotNow, Sink

LIMIT = 16 * 1024 * 1024
"""Bytes of the entries that wait for a sink, by `size_of`."""
BATCH_BYTES = 1024 * 1024
IDLE = 30.0  # s
LONGEST_BACKOFF = 30.0
LONGEST_ASKED = 300.0
"""Seconds to wait, at most, where a receiver says how long."""
_LEAST = 256  # bytes of an entry without its fields
_EACH = 80  # bytes of a value in a map or a list, with its name


def size_of(entry: Entry) -> int:
    """Bytes of memory that an entry takes, approximately."""
    return _LEAST + len(entry.message) + _size_of(entry.fields)


def _size_of(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size_of, value.values())) + _EACH * len(value)
    if isinstance(value, list | tuple):
        return sum(map(_size_of, value)) + _EACH * len(value)
    return 0


class _Waiting(NamedTuple):
    """size: bytes. stands_for: so many entries."""

    entry: Entry
    size: int
    stands_for: int


def _size(entries: Iterable[_Waiting]) -> int:
    return sum(each.size for each in entries)


def _count(entries: Iterable[_Waiting]) -> int:
    return sum(each.stands_for for each in entries)


class SinkQueue:
    """make: creates the sink, in the sink's thread (it may open files). limit: bytes. batch: entries that are written
    at once. linger: seconds that entries wait for others, unless there are enough for a batch. on_trouble: called once
    per outage."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Sink],
        *,
        limit: int = LIMIT,
        batch: int = Sink.batch,
        linger: float = 0.0,
        on_trouble: Callable[[str, str], None] | None = None,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        self.name = name
        self.dropped = 0
        self.written = 0
        self.error = ""
        self._make = make
        self._limit = limit
        self._batch = batch
        self._linger = linger
        self._hurried = False  # as it is drained
        self._on_trouble = on_trouble
        self._sink: Sink | None = None
        self._entries: deque[_Waiting] = deque()
        self._count = 0  # what they count for
        self._taken = 0  # the same, of the batch that is being written
        self._held = 0  # bytes of all these
        self._change = threading.Condition()
        self._running = False
        self._closing = False
        self._to_be_made = False
        self._asked = 0.0  # s to wait before the next try
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait

    def put(self, entry: Entry, size: int | None = None, count: int = 1) -> None:
        """size: by `size_of`, if it is known. count: what it counts for, if it stands for several."""
        size = size_of(entry) if size is None else size
        with self._change:
            if self._closing or self._held + size > self._limit:
                self.dropped += count
                return
            before = self._count
            self._entries.append(_Waiting(entry, size, count))
            self._held += size
            self._count += count
            if not self._running:
                self._start()
            elif before == 0 or before < self._batch <= self._count:
                self._change.notify_all()

    def put_latest(self, entry: Entry) -> None:
        """Put it in place of those of its stream that still wait."""
        with self._change:
            kept = deque(each for each in self._entries if each.entry.stream != entry.stream)
            self._held -= _size(self._entries) - _size(kept)
            self._count = _count(kept)
            self._entries = kept
        self.put(entry)

    def wake(self) -> None:
        """Make the sink now, not at the first entry."""
        with self._change:
            self._to_be_made = True
            if not self._running:
                self._start()

    def drain(self, timeout: float) -> bool:
        """Wait until everything is written. Returns False if that was not in time."""
        until = time.monotonic() + timeout
        with self._change:
            self._hurried = True
            self._change.notify_all()
            try:
                while self._entries or self._taken:
                    left = until - time.monotonic()
                    if left <= 0 or self.error:
                        return False
                    self._change.wait(left)
            finally:
                self._hurried = False
        return True

    def close(self, timeout: float = 1.0) -> None:
        """Write waiting entries if that is quick, then release the sink, in its own thread."""
        self.drain(timeout)
        with self._change:
            self._closing = True
            self.dropped += self._count
            self._held -= _size(self._entries)
            self._count = 0
            self._entries.clear()
            self._change.notify_all()
            running = self._running
        self._stop.set()
        if not running:
            self._close_sink()

    def join(self, timeout: float) -> None:
        """Wait until a closed sink is released."""
        if self._thread is not None:
            self._thread.join(timeout)

    def status(self) -> dict[str, Any]:
        own = _told_by(self._sink)
        return {
            "sink": self.name,
            "written": self.written,
            "waiting": self._count + self._taken + int(own.get("waiting") or 0),
            "dropped": self.dropped + int(own.get("dropped") or 0),
            "error": self.error or str(own.get("error") or ""),
        }

    def _start(self) -> None:
        self._running = True
        self._thread = threading.Thread(target=self._run, name=f"meshd-sink-{self.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        backoff = 0.0
        while True:
            with self._change:
                if not self._has_work() and not self._closing:
                    self._change.wait(IDLE)
                if not self._has_work():
                    self._running = False
                    closing = self._closing
                    break
                if self._linger:
                    self._change.wait_for(self._is_full, self._linger)
                batch = self._next_batch()
                self._taken = _count(batch)
                self._count -= self._taken
            if self._write(batch):
                backoff = 0.0
            else:
                backoff = min(LONGEST_BACKOFF, backoff * 2 or 1.0)
                self._sleep(max(backoff, self._asked))
        if closing:
            self._close_sink()

    def _has_work(self) -> bool:
        return bool(self._entries) or (self._to_be_made and not self._closing)

    def _write(self, batch: list[_Waiting]) -> bool:
        done = 0
        try:
            if self._sink is None:
                self._sink = self._make()
            self._to_be_made = False
            for each in batch:
                self._sink.write(each.entry)
                done += 1
            self._sink.flush()
        except Exception as error:
            if self._sink is None or self._sink.buffered:
                done = 0
            first = not self.error
            self._asked = min(error.after, LONGEST_ASKED) if isinstance(error, NotNow) else 0.0
            self._finished(batch, done, error)
            if self._sink is not None and not self._sink.lasting:
                self._close_sink()  # made again: the file may have been removed, the socket closed
            if first and self._on_trouble is not None:
                self._on_trouble(self.name, self.error)
            return False
        self._finished(batch, done)
        return True

    def _is_full(self) -> bool:
        return self._closing or self._hurried or self._count >= self._batch

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = count = 0
        while self._entries and count < self._batch and size < BATCH_BYTES:
            batch.append(self._entries.popleft())
            size += batch[-1].size
            count += batch[-1].stands_for
        return batch

    def _finished(self, batch: list[_Waiting], done: int, error: Exception | None = None) -> None:
        """The first `done` of them are written; the rest waits as before, unless the queue has been closed."""
        with self._change:
            self.error = "" if error is None else in_words(error)
            self.written += _count(batch[:done])
            self._held -= _size(batch[:done])
            self._taken = 0
            if self._closing:
                self.dropped += _count(batch[done:])
            else:
                self._entries.extendleft(reversed(batch[done:]))
                self._count += _count(batch[done:])
            self._change.notify_all()

    def _close_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close()
            except Exception as error:
                self.error = in_words(error)
            self.dropped += int(_told_by(sink).get("dropped") or 0)


def _told_by(sink: Sink | None) -> Mapping[str, Any]:
    if sink is None:
        return {}
    try:
        return sink.status()
    except Exception as error:  # of another package
        return {"error": in_words(error)}
