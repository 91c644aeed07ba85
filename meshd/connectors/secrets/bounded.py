"""A store outside this process, asked so that it cannot hold up the daemon.

Owns: the store's own thread, how long to wait for an answer, when to ask again a store that did not answer, and when to
give it up for a new instance.
Must never: put a value, or the text of an unexpected exception, into a message.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from meshd.core.secret_sources import StoreStanding
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretStoreUnreachable

T = TypeVar("T")

_FAIR = 0.9  # of the time for all calls: a store that has not answered within it does not answer
_PATIENCE = 2.0  # times the wait for an answer: a store that has not answered by then is given up
_MOST_LOST = 4  # stores given up at a time: each keeps a thread
_SOONEST, _LATEST = 0.5, 8.0  # s for which a store that did not answer is left alone; doubled each time


class BoundedStore(SecretStore):
    """timeout: seconds for one answer. another: makes a new instance of the store. Raises only SecretMissing and
    SecretStoreError."""

    def __init__(
        self, id: str, store: SecretStore, timeout: float, another: Callable[[], SecretStore] | None = None
    ) -> None:
        super().__init__({})
        self._store = store  # any instance: their settings are the same
        self._another = another
        self._timeout = timeout
        self._thread = _Thread(f"meshd-secrets-{id}", lambda: store)
        self._unanswered: Future[Any] | None = None
        self._asked_at = 0.0
        self._lost: list[Future[Any]] = []  # calls that stores which were given up have not answered yet
        self._round = self._until = float(
            "inf"
        )  # all calls that belong together: their seconds, and when they are over
        self._pause = _SOONEST
        self.again_at = 0.0  # by time.monotonic()
        self.standing = StoreStanding(id)

    def begin(self, seconds: float) -> None:
        """The calls from now on belong together, and may take this long altogether."""
        self._round, self._until = seconds, time.monotonic() + seconds

    def retry(self) -> None:
        """Ask again at once, even if it has just failed to answer."""
        self.again_at = 0.0

    def get(self, name: str) -> str:
        return self._ask(lambda store: store.get(name))

    def files(self, name: str) -> Sequence[Path]:
        return self._store.files(name)

    def list(self) -> list[str]:
        return self._ask(lambda store: store.list())

    def set(self, name: str, value: str) -> None:
        self._ask(lambda store: store.set(name, value))

    def delete(self, name: str) -> None:
        self._ask(lambda store: store.delete(name))

    @property
    def writable(self) -> bool:
        return self._store.writable

    def refresh(self) -> None:
        if not self._is_busy:
            (self._thread.store or self._store).refresh()

    def close(self) -> None:
        self._thread.end()

    @property
    def _is_busy(self) -> bool:
        return self._unanswered is not None and not self._unanswered.done()

    def _ask(self, work: Callable[[SecretStore], T]) -> T:
        now = time.monotonic()
        if now < self.again_at:
            raise SecretStoreUnreachable(self.standing.error)
        left = self._until - now
        if left <= 0:
            raise SecretStoreUnreachable(f"{self.standing.store} was not asked, because other stores took too long")
        try:
            found = self._answer(work, min(self._timeout, left))
        except SecretStoreUnreachable as error:
            fair = min(self._timeout, self._round * _FAIR)
            if left >= fair or not self._is_busy:  # otherwise other stores have left it too little time
                self._failed(str(error))
            raise
        except (SecretMissing, SecretStoreError):
            self._answered()
            raise
        except Exception as error:
            self._failed(f"{self.standing.store} failed with {type(error).__name__}")
            raise SecretStoreUnreachable(self.standing.error) from None
        self._answered()
        return found

    def _answer(self, work: Callable[[SecretStore], T], seconds: float) -> T:
        if self._is_busy and not self._given_up():
            raise SecretStoreUnreachable(f"{self.standing.store} has not answered an earlier request")
        asked = self._thread.run(work)
        self._unanswered, self._asked_at = asked, time.monotonic()
        try:
            return asked.result(seconds)
        except TimeoutError:
            if asked.done():  # the store itself raised it
                raise
            raise SecretStoreUnreachable(f"{self.standing.store} did not answer in time") from None

    def _given_up(self) -> bool:
        """Whether a new instance has replaced the store, which is closed if it ever answers."""
        lost = [each for each in (*self._lost, self._unanswered) if each is not None and not each.done()]
        patient = time.monotonic() - self._asked_at < min(self._timeout, self._round) * _PATIENCE
        if patient or self._another is None or len(lost) > _MOST_LOST:
            return False
        self._thread.end()
        self._lost, self._thread = lost, _Thread(self._thread.name, self._another)
        return True

    def _answered(self) -> None:
        self._pause = _SOONEST
        self.standing = StoreStanding(self.standing.store)

    def _failed(self, why: str) -> None:
        self.again_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LATEST)
        self.standing = StoreStanding(self.standing.store, why, self.standing.since or time.time())


class _Thread:
    """Runs calls one after the other, on a store that it makes. It starts at the first call, and does not keep the
    process from ending."""

    def __init__(self, name: str, make: Callable[[], SecretStore]) -> None:
        self.name = name
        self.store: SecretStore | None = None
        self._make = make
        self._work: SimpleQueue[tuple[Callable[[SecretStore], Any], Future[Any]] | None] = SimpleQueue()
        self._started = False

    def run(self, work: Callable[[SecretStore], T]) -> Future[T]:
        done: Future[T] = Future()
        self._work.put((work, done))
        if not self._started:
            threading.Thread(target=self._run, name=self.name, daemon=True).start()
            self._started = True
        return done

    def end(self) -> None:
        """Close the store, after the last call."""
        if self._started:
            self.run(lambda store: store.close())
            self._work.put(None)
        else:
            self._make().close()

    def _run(self) -> None:
        while (task := self._work.get()) is not None:
            work, done = task
            try:
                if self.store is None:
                    self.store = self._make()
                done.set_result(work(self.store))
            except BaseException as error:
                done.set_exception(error)
