"""The blocking side: one connection per process and socket address, shared by all clients and threads.

Owns: which of the waiting threads drives the exchange, and the registry of connections.
Must never: hold the lock while it polls, or pass a message between threads if the waiter could have read it itself.

Leader and followers. A thread that waits for its reply becomes the leader if there is none: it alone touches the
sockets, sends what others left as jobs, gives their messages to them, and returns with its own. Another thread that
calls meanwhile leaves a job, wakes the leader by the eventfd it polls, and sleeps until its reply has come or it
becomes the leader. So a single caller needs no other thread, and no thread is idle overhead.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import zmq

from modelmesh import _housekeeping
from modelmesh._call import Call
from modelmesh._exchange import Exchange
from modelmesh.errors import MeshError
from modelmesh.protocol import HelloHead, Message
from modelmesh.version import CLIENT

GRACE_SECONDS: Final = 0.1
"""Seconds to wait beyond the deadline: the daemon's own timeout error says more than ours."""

OVERSLEPT_SECONDS: Final = 0.3
"""Seconds: if a timeout comes later than that, the process or the machine was asleep."""
LONGEST_GRACE_SECONDS: Final = 5.0
"""Seconds to wait for an answer after such a sleep, at most."""

AWAKE_SECONDS: Final = 0.0005
"""Seconds that a wait spins before it sleeps, if the last one was short."""
QUICK_SECONDS: Final = 0.001
"""Seconds: a shorter wait counts as short."""
_SEVERAL_CORES: Final = (os.cpu_count() or 1) > 1  # on a single core, a spinning thread keeps the daemon from its work


class Waiter:
    """Lets a thread sleep until its call has a message: a lock used as a binary semaphore."""

    __slots__ = ("gate", "promoted")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.promoted = False


class Connection:
    """One daemon address in this process. Thread-safe.

    `users` counts its clients; the last one to release it closes it.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False
        self.users = 0
        self._lock = threading.RLock()  # as a signal handler may interrupt it
        self._inside: set[int] = set()
        self._nested: Connection | None = None
        self._leading = False
        self._quick = False
        self._jobs: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._waiters: dict[Call, Waiter] = {}
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll: select.poll | None = None
        self._monitored: set[int] = set()
        self._exchange = Exchange(address, context_for(address), greeting(), self._links_changed)

    def request(self, call: Call) -> Message:
        """Send a call and wait for the first message of its answer. Raises MeshError."""
        call.wake = _Wake(self, call)
        self._jobs.append((self._exchange.submit, (call,)))
        return self.receive(call, submitted=False)

    def for_new_call(self) -> Connection:
        """Itself, or a separate connection for a signal handler that interrupted a call here: that call cannot continue
        before the handler returns."""
        connection, thread = self, threading.get_ident()
        while thread in connection._inside:
            nested = connection._nested
            if nested is None or nested.closed:
                nested = connection._nested = Connection(self.address)
                nested.users = 1
                _housekeeping.look_after(nested)
            connection = nested
        return connection

    def receive(self, call: Call, submitted: bool = True) -> Message:
        """The call's next message. Raises the MeshError it ended with, RequestTimeoutError past its deadline."""
        inbox = call.inbox
        if not inbox or not submitted:
            enters = self._enter()
            try:
                self._wait(call, submitted)
            except BaseException:
                self.cancel(call)
                raise
            finally:
                self._leave_to(enters)
        item = inbox.popleft()
        if isinstance(item, MeshError):
            raise item
        return item

    def submit(self, call: Call) -> None:
        """Send a call whose answer `receive` will get."""
        call.wake = _Wake(self, call)
        self._do(self._exchange.submit, call)

    def cancel(self, call: Call) -> None:
        """Forget a call, and have the daemon stop it."""
        if not call.finished:
            self._do(self._exchange.cancel, call)

    def cancel_soon(self, call: Call) -> None:
        """As `cancel`, from a finalizer, which may run anywhere."""
        _housekeeping.later(lambda: self.cancel(call))

    def credit(self, call: Call, chunks: int) -> None:
        self._do(self._exchange.credit, call, chunks)

    def keep_alive(self) -> float:
        """One round of housekeeping; returns seconds until the next one."""
        if self.closed:
            return 60.0
        self._do(self._exchange.ping)
        return self._exchange.heartbeat

    def release(self) -> None:
        """One client fewer."""
        with _registry_lock:
            self.users -= 1
            if self.users > 0 or self.closed:
                return
            self._unregister()
        self._do(self._close)

    def abandon(self) -> None:
        """After a fork: the sockets belong to the parent and are not touched."""
        self.closed = True
        _parents.append(self)
        if self._nested is not None:
            self._nested.abandon()

    # Leading

    def _do(self, job: Callable[..., Any], *arguments: Any) -> None:
        """Run a job as the leader, or leave it to the current one."""
        if self.closed:
            return
        enters = self._enter()
        try:
            self._jobs.append((job, arguments))
            with self._lock:
                leads = not self._leading
                self._leading = True
            if leads:
                self._hand_over()
            else:
                self._rouse()
        finally:
            self._leave_to(enters)

    def _enter(self) -> int:
        """Note that this thread is active here: its id, or 0 if it was already."""
        thread = threading.get_ident()
        if thread in self._inside:
            return 0
        self._inside.add(thread)
        return thread

    def _leave_to(self, thread: int) -> None:
        self._inside.discard(thread)

    def _wait(self, call: Call, submitted: bool) -> None:
        """Return when the call's inbox has something."""
        inbox = call.inbox
        limit = None if call.deadline is None else call.deadline + GRACE_SECONDS
        slept = False
        while not inbox:
            if self.closed:
                raise MeshError("the client was closed", code="client_closed")
            with self._lock:
                leads = not self._leading
                if leads:
                    self._leading = True
                else:
                    waiter = self._waiters[call] = Waiter()
            if not leads:
                if not submitted:
                    self._rouse()
                    submitted = True
                leads = self._sleep(call, waiter, limit)
            if leads:
                submitted = True
                try:
                    self._lead(inbox, limit)
                finally:
                    self._hand_over()
            if not inbox and limit is not None and (late := time.monotonic() - limit) >= 0.0:
                if late > OVERSLEPT_SECONDS and not slept:  # we were stopped: read what came in time first
                    slept = True
                    limit += late + min(late, LONGEST_GRACE_SECONDS)
                    continue
                raise self._late(call)

    def _sleep(self, call: Call, waiter: Waiter, limit: float | None) -> bool:
        """Wait as a follower; returns whether this thread became the leader.

        The waiter is registered before the inbox is checked, and the leader fills the inbox before it looks for
        waiters: so one of the two sees the other.
        """
        try:
            if not call.inbox:
                waiter.gate.acquire(timeout=-1 if limit is None else max(0.0, limit - time.monotonic()))
        except BaseException:
            if self._leave(call, waiter):
                self._hand_over()
            raise
        return self._leave(call, waiter)

    def _leave(self, call: Call, waiter: Waiter) -> bool:
        with self._lock:
            self._waiters.pop(call, None)
            return waiter.promoted

    def _lead(self, inbox: deque[Any], limit: float | None) -> None:
        """Drive the exchange until `inbox` has a message or the limit has passed."""
        exchange = self._exchange
        jobs = self._jobs
        while True:
            while jobs:
                job, arguments = jobs.popleft()
                job(*arguments)
            exchange.pump()
            if inbox or self.closed:
                return
            due = exchange.next_due()
            if limit is not None and (due is None or limit < due):
                due = limit
            timeout = None
            if due is not None:
                timeout = (due - time.monotonic()) * 1000
                if timeout <= 0 and due is limit:
                    return
                timeout = max(0.0, timeout)
            if jobs:
                continue
            for fd, _ in self._ready(timeout):
                if fd == self._wakeup:
                    os.eventfd_read(fd)
                elif fd in self._monitored:
                    exchange.observe()

    def _ready(self, timeout: float | None) -> list[tuple[int, int]]:
        """Descriptors with something to read, within `timeout` milliseconds.

        A sleeping thread is woken tens of microseconds late, a good part of a quick answer's time. So if the last wait
        was short, this one spins first; a wait for a slow model does not.
        """
        poller, began = self._poller(), time.monotonic()
        if self._quick and (timeout is None or timeout > AWAKE_SECONDS * 1000):
            while time.monotonic() - began < AWAKE_SECONDS:
                if ready := poller.poll(0):
                    return ready
        ready = poller.poll(timeout)
        self._quick = _SEVERAL_CORES and time.monotonic() - began < QUICK_SECONDS
        return ready

    def _hand_over(self) -> None:
        """Finish the remaining jobs and make a waiter the leader, if there is one, whatever a job raises."""
        failure: BaseException | None = None
        while True:
            while self._jobs:
                job, arguments = self._jobs.popleft()
                try:
                    job(*arguments)
                    if not self.closed:
                        self._exchange.pump()
                except BaseException as error:
                    failure = error
            with self._lock:
                if self._jobs:
                    continue
                waiting = next(iter(self._waiters), None)
                if waiting is None:
                    self._leading = False
                else:
                    waiter = self._waiters.pop(waiting)
                    waiter.promoted = True
                    waiter.gate.release()
            if failure is not None:
                raise failure
            return

    def _rouse(self) -> None:
        with self._lock:
            if not self.closed:
                os.eventfd_write(self._wakeup, 1)

    def _poller(self) -> select.poll:
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(self._wakeup, select.POLLIN)
            self._monitored.clear()
            for link in self._exchange.links():
                poll.register(link.fd, select.POLLIN)
                if link.monitor_fd >= 0:
                    poll.register(link.monitor_fd, select.POLLIN)
                    self._monitored.add(link.monitor_fd)
        return poll

    def _links_changed(self) -> None:
        self._poll = None

    def _late(self, call: Call) -> MeshError:
        return self._exchange.late(call)

    def _close(self) -> None:
        self._exchange.close()
        with self._lock:
            self.closed = True
            waiters, self._waiters = self._waiters, {}
            os.close(self._wakeup)
            nested, self._nested = self._nested, None
        for waiter in waiters.values():
            waiter.gate.release()
        if nested is not None:
            nested.release()

    def _unregister(self) -> None:
        if _connections.get(self.address) is self:
            del _connections[self.address]


class _Wake:
    """Called by the leader when a call got a message: wakes its thread if it sleeps."""

    __slots__ = ("_call", "_connection")

    def __init__(self, connection: Connection, call: Call) -> None:
        self._connection = connection
        self._call = call

    def __call__(self) -> None:
        connection = self._connection
        if not connection._waiters:
            return
        with connection._lock:
            waiter = connection._waiters.pop(self._call, None)
        if waiter is not None:
            waiter.gate.release()


_registry_lock = threading.RLock()
_connections: dict[str, Connection] = {}
_contexts: list[zmq.Context[zmq.Socket[bytes]]] = []
_parents: list[Any] = []
"""Objects of the parent process after a fork; kept, as freeing them would touch its sockets."""


def acquire(address: str) -> Connection:
    """The process's connection to an address, for one more client."""
    with _registry_lock:
        connection = _connections.get(address)
        if connection is None:
            connection = _connections[address] = Connection(address)
            _housekeeping.look_after(connection)
        connection.users += 1
    return connection


def context_for(address: str) -> zmq.Context[zmq.Socket[bytes]]:
    """The zmq context for an address: an embedded mesh needs the process-wide one."""
    if address.startswith("inproc://"):
        return zmq.Context.instance()
    if not _contexts:
        _contexts.append(zmq.Context())
    return _contexts[0]


def greeting() -> HelloHead:
    return HelloHead(client=CLIENT, process=os.path.basename(sys.argv[0]) if sys.argv else "")


def _forget_parent() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()
    for connection in _connections.values():
        connection.abandon()
    _connections.clear()
    _parents.extend(_contexts)
    _contexts.clear()


os.register_at_fork(after_in_child=_forget_parent)
