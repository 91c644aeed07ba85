"""Between the telemetry actor and a sink: a bounded queue and the sink's own thread.

Owns: entries that wait, dropped entries, and the sink's outages.
Must never: block or raise in `put`. A slow or dead sink loses entries, which are counted.

The thread starts with the first entry and ends when none comes for a while, so an idle daemon has none.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from meshd.sdk.observability import Entry, Sink

LIMIT = 10_000
BATCH = 500
IDLE = 30.0  # s
LONGEST_BACKOFF = 30.0


class SinkQueue:
    """make: creates the sink, in the sink's thread (it may open files). on_trouble: called once per outage."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Sink],
        *,
        limit: int = LIMIT,
        on_trouble: Callable[[str, str], None] | None = None,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        self.name = name
        self.dropped = 0
        self.written = 0
        self.error = ""
        self._make = make
        self._limit = limit
        self._on_trouble = on_trouble
        self._sink: Sink | None = None
        self._entries: deque[Entry] = deque()
        self._change = threading.Condition()
        self._running = False
        self._writing = False
        self._closing = False
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait

    def put(self, entry: Entry) -> None:
        with self._change:
            if self._closing or len(self._entries) >= self._limit:
                self.dropped += 1
                return
            self._entries.append(entry)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name=f"meshd-sink-{self.name}", daemon=True).start()
            elif len(self._entries) == 1:
                self._change.notify_all()

    def drain(self, timeout: float) -> bool:
        """Wait until everything is written. Returns False if that was not in time."""
        until = time.monotonic() + timeout
        with self._change:
            while self._entries or self._writing:
                left = until - time.monotonic()
                if left <= 0 or self.error:
                    return False
                self._change.wait(left)
        return True

    def close(self, timeout: float = 1.0) -> None:
        """Write waiting entries if that is quick, then release the sink."""
        self.drain(timeout)
        with self._change:
            self._closing = True
            self.dropped += len(self._entries)
            self._entries.clear()
            self._change.notify_all()
            running = self._running
        self._stop.set()
        if not running:
            self._close_sink()

    def status(self) -> dict[str, Any]:
        return {
            "sink": self.name,
            "written": self.written,
            "waiting": len(self._entries),
            "dropped": self.dropped,
            "error": self.error,
        }

    def _run(self) -> None:
        backoff = 0.0
        while True:
            with self._change:
                if not self._entries and not self._closing:
                    self._change.wait(IDLE)
                if not self._entries:
                    self._running = False
                    closing = self._closing
                    break
                batch = [self._entries.popleft() for _ in range(min(BATCH, len(self._entries)))]
                self._writing = True
            done = 0
            try:
                if self._sink is None:
                    self._sink = self._make()
                for entry in batch:
                    self._sink.write(entry)
                    done += 1
                self._sink.flush()
            except Exception as error:
                backoff = min(LONGEST_BACKOFF, backoff * 2 or 1.0)
                if self._sink is None or self._sink.buffered:
                    done = 0
                self._failed(error, batch[done:])
                self._sleep(backoff)
            else:
                backoff = 0.0
                self.error = ""
            self.written += done
            with self._change:
                self._writing = False
                self._change.notify_all()
        if closing:
            self._close_sink()

    def _failed(self, error: Exception, rest: list[Entry]) -> None:
        first = not self.error
        with self._change:
            self.error = f"{type(error).__name__}: {error}"
            room = self._limit - len(self._entries)
            self.dropped += max(0, len(rest) - room)
            self._entries.extendleft(reversed(rest[:room]))
        if self._sink is not None:
            # Created again: the file may have been removed, the socket closed.
            self._close_sink()
        if first and self._on_trouble is not None:
            self._on_trouble(self.name, self.error)

    def _close_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close()
            except Exception as error:
                self.error = f"{type(error).__name__}: {error}"
