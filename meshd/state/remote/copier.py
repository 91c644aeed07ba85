"""Copies the state directory to a remote storage, in a thread of its own.

Owns: the remote connector, the lease on it, and what has not been copied yet. Must never: make anything wait for the
storage, except a start for a few seconds. Whatever the storage does, the directory has everything; it is copied as soon
as possible.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from meshd.core.events.event_type import EventType
from meshd.core.text.exceptions import one_line
from meshd.sdk.storage import Claim, Grant, Storage, StorageError
from meshd.state.outage import Report
from meshd.state.remote.lease import LEASE, StateLease, StorageInUse
from meshd.state.remote.origin import Arrival, Owner, read_arrival, remote_key

logger = logging.getLogger("meshd.state")

_NO_MORE = object()
_AT_ONCE = 200  # values that are written together
_AGAIN = 60.0  # least s between two full copies, for a storage that comes and goes
_END = 5.0  # s that the daemon's end waits for it


class Place(msgspec.Struct, frozen=True):
    """A place in a storage. id: of its connector, for messages. base: the prefix of keys. origin, holder: of this
    daemon (`origin.py`). shared: other daemons use the storage at the same time."""

    id: str
    base: str
    origin: str
    holder: str
    shared: bool
    lease: bool
    lease_timeout: float
    lease_retry: float
    interval: float


class Patience(msgspec.Struct, frozen=True):
    """Seconds. start: that a start waits for a silent storage. first_retry, longest_retry: until the next attempt.
    between_copies: to a storage that needs a request for each value."""

    start: float = 6.0
    first_retry: float = 0.5
    longest_retry: float = 10.0
    between_copies: float = 30.0


USUAL_PATIENCE = Patience()


Answer = Callable[[dict[str, Grant], bool], None]
"""Called with grants, and whether they come from the storage."""


class Question(msgspec.Struct, frozen=True):
    claims: Sequence[Claim]
    kept: dict[str, Grant]
    answer: Answer


class _InUse(StorageError):
    def __init__(self, storage: str, holder: str) -> None:
        super().__init__(f"{storage} is in use by the daemon {holder}")
        self.holder = holder


class Copier:
    """now: UTC s. problem: why nothing is being copied, "" if it is. copied_at: when everything had been copied, in UTC
    s, or 0."""

    def __init__(
        self,
        storage: Storage,
        place: Place,
        now: Callable[[], float],
        report: Report,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        self.place = place
        self.problem = ""
        self.copied_at = 0.0
        self._storage = storage
        self._now = now
        self._report = report
        self._patience = patience
        self._lease = StateLease(storage, f"{place.base}state", place.holder) if place.lease else None
        self._in_use_by = ""
        self._arrival: Arrival | None = None  # not yet fetched by the keeper
        self._met = self._adopted = False
        self._pending: dict[str, bytes | None] = {}
        self._question: Question | None = None
        self._backoff = 0.0
        self._tries = 0
        self._again = False  # the storage may have lost what it had
        self._not_again_until = 0.0  # by the monotonic clock
        self._ending = False
        self._hurry = False  # there is a reason not to wait
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="meshd-storage", daemon=True)

    # -- the keeper's side ----------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def arrive(self) -> Arrival | None:
        """Wait briefly for what the storage has; None while it does not answer. Call `adopted` afterwards. Raises
        StorageInUse."""
        deadline = time.monotonic() + self._patience.start
        in_use = time.monotonic() + self.place.lease_timeout
        with self._changed:
            while self._arrival is None and time.monotonic() < (in_use if self._in_use_by else deadline):
                if self._in_use_by:
                    deadline = time.monotonic() + self._patience.start  # counted from when it is free
                if self._tries and self.problem and not self._in_use_by:
                    return None
                self._changed.wait(0.1)
            if self._in_use_by:
                raise StorageInUse(self.place.id, self._in_use_by)
        return self.take_arrival()

    def take_arrival(self) -> Arrival | None:
        """What has arrived since the last call."""
        with self._changed:
            arrival, self._arrival = self._arrival, None
        return arrival

    def adopted(self) -> None:
        """The directory has what arrived, and is authoritative from now on."""
        with self._changed:
            self._adopted = self._hurry = True
            self._changed.notify_all()

    def note(self, changes: Mapping[str, bytes | None]) -> None:
        """Note values of the directory's storage that have to be copied."""
        place = self.place
        there = {remote_key(key, place.base, place.origin): value for key, value in changes.items()}
        there.pop("", None)
        with self._changed:
            self._pending.update(there)

    def divide(self, claims: Sequence[Claim], kept: dict[str, Grant], answer: Answer) -> None:
        """Ask for this daemon's part of limits. kept: the answer if the storage gives none. A newer question replaces a
        waiting one."""
        with self._changed:
            self._question = Question(claims, kept, answer)
            self._hurry = True
            self._changed.notify_all()

    def take_again(self) -> bool:
        """Whether, since the last call, it has become necessary to note everything again: a storage that was down may
        have come back without its last writes, like a replica that takes over."""
        now = time.monotonic()
        if not self._again or now < self._not_again_until:
            return False
        self._again, self._not_again_until = False, now + _AGAIN
        return True

    @property
    def pending(self) -> int:
        return len(self._pending)

    def close(self, *, give_back: bool = True) -> None:
        """Copy what is left, if that takes no more than a few seconds. give_back: end the lease."""
        with self._changed:
            self._ending = True
            self._lease = self._lease if give_back else None
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_END)
        if self._thread.is_alive() or self._pending:
            logger.warning("%s lacks the last changes; they are copied at the next start", self.place.id)

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending:
            self._try()
            with self._changed:
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._ending or self._hurry, self._pause())
        self._try()
        try:
            if self._lease is not None:
                self._lease.give_back()
        except StorageError as error:
            logger.info("the lease on %s ends by itself: %s", self.place.id, error)
        self._storage.close()

    def _pause(self) -> float:
        if self._in_use_by:
            return self.place.lease_retry
        if self.problem:
            return self._backoff
        least = 0.1 if self._storage.atomic else self._patience.between_copies
        return min(max(self.place.interval, least, 0.1), LEASE / 3)

    def _try(self) -> None:
        try:
            self._round()
        except StorageError as error:
            self._failed(str(error))
            self._in_use_by = error.holder if isinstance(error, _InUse) else ""
            self._answer_kept()
        except Exception as error:  # a connector's mistake; the thread must not end
            logger.exception("the storage %s failed unexpectedly", self.place.id)
            self._failed(one_line(error))
            self._answer_kept()
        else:
            self._works()
        self._tries += 1

    def _round(self) -> None:
        """Raises StorageError."""
        self._hurry = False
        if self._lease is not None:
            holder = self._lease.renew()
            if holder:
                self._met = self._adopted = False  # it may contain something else when it is free again
                self.copied_at = 0.0
                raise _InUse(self.place.id, holder)
        self._divide()
        if not self._met:
            place = self.place
            arrival = read_arrival(self._storage, place.base, place.origin, self._now(), sums=not place.shared)
            with self._changed:
                self._arrival, self._met, self._in_use_by = arrival, True, ""
        if self._adopted and self._due():
            self._copy()

    def _divide(self) -> None:
        with self._changed:
            question = self._question
        if question is None:
            return
        grants = self._storage.divide(self.place.origin, question.claims)
        with self._changed:
            if self._question is question:
                self._question = None
        question.answer(grants, True)

    def _answer_kept(self) -> None:
        with self._changed:
            question, self._question = self._question, None
        if question is not None:
            question.answer(question.kept, False)

    def _due(self) -> bool:
        """Whether to copy now. Where each value costs a request, copies are rarer than renewals of the lease."""
        return self._ending or self._storage.atomic or self._now() - self.copied_at >= self._patience.between_copies - 1

    def _copy(self) -> None:
        place = self.place
        if not self.copied_at:
            self._storage.save(place.base + "owner", msgspec.json.encode(Owner(place.origin)))
        while self._pending:
            if self._lease is not None and not self._lease.lasts(LEASE / 3):
                return  # renewed first
            with self._changed:
                some = dict(list(self._pending.items())[:_AT_ONCE])
            self._storage.save_many(some)
            with self._changed:
                for key, value in some.items():
                    if self._pending.get(key, _NO_MORE) is value:
                        del self._pending[key]
        self.copied_at = self._now()

    # -- whether it works -----------------------------------------------------------------------------

    def _failed(self, problem: str) -> None:
        self._backoff = min(max(self._backoff * 2, self._patience.first_retry), self._patience.longest_retry)
        if not self.problem:
            logger.warning("%s; state is kept in the state directory alone, and copied later", problem)
            self._report(EventType.STORAGE_UNREACHABLE, "warning", problem)
        self.problem = problem

    def _works(self) -> None:
        self._backoff = 0.0
        if self.problem:
            logger.info("state is copied to %s again", self.place.id)
            # Services with a request for each value lose no last writes: they acknowledge what they have stored.
            self._again = self._adopted and self._storage.atomic
            self._report(EventType.STORAGE_RECOVERED, "info", f"state is copied to {self.place.id} again")
        self.problem = self._in_use_by = ""
