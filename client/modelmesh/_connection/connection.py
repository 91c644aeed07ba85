"""The blocking side: one connection per process and socket address, shared by all clients and threads.

Owns: which of the waiting threads drives the session.
Must never: hold the lock while it polls, or pass a message between threads if the waiter could have read it itself.

Leader and followers. A thread that waits for its reply becomes the leader if there is none: it alone touches the
sockets, sends what others left as jobs, gives their messages to them, and returns with its own. Another thread that
makes a call leaves a job, wakes the leader through the eventfd that it polls, and sleeps until its reply has come or it
becomes the leader. So a single caller needs no other thread, and no thread is idle overhead.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from modelmesh._connection import background
from modelmesh._connection.links.link import Link
from modelmesh._connection.pending_call import (
    GRACE_SECONDS,
    LONGEST_GRACE_SECONDS,
    OVERSLEPT_SECONDS,
    PendingCall,
    client_closed,
)
from modelmesh._connection.polling import Wait
from modelmesh._connection.session import LinkSession
from modelmesh.errors import MeshError
from modelmesh.protocol import Message

_PROMOTED: Final = -1  # the leader is a thread that has not noticed it yet
_PAUSE: Final = 0.005  # s between two tries to send what no thread waits to send
_of_the_parent: list[Connection] = []
"""Connections of the parent process after a fork; kept, as freeing them would touch its sockets."""


class Waiter:
    """Lets a thread sleep until its call has a message: a lock used as a binary semaphore."""

    __slots__ = ("gate", "promoted")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.promoted = False


class Connection(background.KeptAlive):
    """One daemon address in this process. Thread-safe. users: clients that share it."""

    def __init__(self, address: str, drain_slack: float) -> None:
        self.address = address
        self.drain_slack = drain_slack
        self.closed = False
        self.users = 0
        self._lock = threading.RLock()  # as a signal handler may interrupt it
        self._inside: set[int] = set()
        self._nested: Connection | None = None
        self._leader = 0
        self._wait_for = Wait()
        self._jobs: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._waiters: dict[PendingCall, Waiter] = {}
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll: select.poll | None = None
        self._polled: Link | None = None
        self._monitored: set[int] = set()
        self._flushes = False  # the background thread will send
        self._writing = False  # the poller waits for room to write, too
        self._session = LinkSession(address, self._links_changed, drain_slack)

    def request(self, call: PendingCall) -> Message:
        """Send a call and wait for the first message of its answer. Raises MeshError."""
        call.wake = self._wake
        self._jobs.append((self._session.submit, (call,)))
        return self.receive(call, submitted=False)

    def for_new_call(self) -> Connection:
        """Itself, or a separate connection for a signal handler that interrupted a call here: that call cannot continue
        before the handler returns."""
        connection, thread = self, threading.get_ident()
        while thread in connection._inside:
            nested = connection._nested
            if nested is None or nested.closed:
                nested = connection._nested = Connection(self.address, self.drain_slack)
                background.keep_alive(nested)
            connection = nested
        return connection

    def receive(self, call: PendingCall, submitted: bool = True) -> Message:
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
                # A handler's exception can come at each call, so that none stands before this.
                stuck = enters and self._leader == enters
                if stuck:
                    self._leader = 0
                self._inside.discard(enters)
                if stuck:
                    self._recover()
        item = inbox.popleft()
        if isinstance(item, MeshError):
            raise item
        return item

    def submit(self, call: PendingCall) -> None:
        """Send a call whose answer `receive` will get."""
        call.wake = self._wake
        self._do(self._session.submit, call)

    def cancel(self, call: PendingCall) -> None:
        """Forget a call, and have the daemon stop it."""
        if not call.finished:
            self._do(self._session.cancel, call)

    def cancel_soon(self, call: PendingCall) -> None:
        """As `cancel`, from a finalizer, which may run anywhere."""
        background.later(lambda: self.cancel(call))

    def credit(self, call: PendingCall, chunks: int) -> None:
        self._do(self._session.credit, call, chunks)

    def keep_alive(self) -> float:
        """One heartbeat; returns seconds until the next one."""
        if self.closed:
            return 60.0
        self._do(self._session.ping)
        return self._session.heartbeat

    def close(self) -> None:
        """Calls in flight fail."""
        self._do(self._close)

    def abandon(self) -> None:
        """After a fork: the sockets belong to the parent and are not touched."""
        self.closed = True
        _of_the_parent.append(self)
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
                if leads := not self._leader:
                    self._leader = threading.get_ident()
            if leads:
                self._hand_over()
            else:
                self._rouse()
        finally:
            stuck = enters and self._leader == enters  # as in `receive`
            if stuck:
                self._leader = 0
            self._inside.discard(enters)
            if stuck:
                self._recover()

    def _enter(self) -> int:
        """Record that this thread is active here: its id, or 0 if it was already."""
        thread = threading.get_ident()
        if thread in self._inside:
            return 0
        self._inside.add(thread)
        return thread

    def _recover(self) -> None:
        """An exception of a signal handler came before a thread had handed over: have another one do it."""
        background.later(self._flush)

    def _wait(self, call: PendingCall, submitted: bool) -> None:
        """Return when the call's inbox has something."""
        inbox = call.inbox
        limit = None if call.deadline is None else call.deadline + GRACE_SECONDS
        slept = False
        while not inbox:
            if self.closed:
                raise client_closed()
            with self._lock:
                if leads := not self._leader:
                    self._leader = threading.get_ident()
                else:
                    waiter = self._waiters[call] = Waiter()
            if not leads:
                if not submitted:
                    self._rouse()
                    submitted = True
                leads = self._sleep(call, waiter, limit)
            if leads:
                self._leader = threading.get_ident()
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
                raise self._session.late(call)

    def _sleep(self, call: PendingCall, waiter: Waiter, limit: float | None) -> bool:
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

    def _leave(self, call: PendingCall, waiter: Waiter) -> bool:
        with self._lock:
            self._waiters.pop(call, None)
            return waiter.promoted

    def _lead(self, inbox: deque[Any], limit: float | None) -> None:
        """Drive the session until `inbox` has a message or the limit has passed."""
        session = self._session
        jobs = self._jobs
        while True:
            while jobs:
                job, arguments = jobs.popleft()
                job(*arguments)
            session.pump()
            if inbox or self.closed:
                return
            due = session.next_due()
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
            poller = self._poller()
            if self._writing or session.has_unsent:
                self._watch_writing(poller)
            for fd, _ in self._wait_for.ready(poller, timeout):
                if fd == self._wakeup:
                    os.eventfd_read(fd)
                elif fd in self._monitored:
                    session.observe()

    def _hand_over(self) -> None:
        """Finish the remaining jobs and make a waiter the leader, if there is one, whatever a job raises."""
        failure: BaseException | None = None
        while True:
            while self._jobs:
                job, arguments = self._jobs.popleft()
                try:
                    job(*arguments)
                    if not self.closed:
                        self._session.pump()
                except BaseException as error:
                    failure = error
            with self._lock:
                if self._jobs:
                    continue
                waiting = next(iter(self._waiters), None)
                if waiting is None:
                    self._leader = 0
                    self._flush_later()
                else:
                    self._leader = _PROMOTED
                    waiter = self._waiters.pop(waiting)
                    waiter.promoted = True
                    waiter.gate.release()
            if failure is not None:
                raise failure
            return

    def _flush_later(self) -> None:
        """Have what the daemon did not take yet sent, as no thread waits for an answer."""
        if self._session.has_unsent and not self._flushes and not self.closed:
            self._flushes = True
            background.later(self._flush)

    def _flush(self) -> None:
        time.sleep(_PAUSE)
        self._flushes = False
        self._do(self._session.pump)

    def _rouse(self) -> None:
        with self._lock:
            if not self.closed:
                os.eventfd_write(self._wakeup, 1)

    def _watch_writing(self, poller: select.poll) -> None:
        self._writing = False
        for link in self._session.links():
            if link.unsent:
                self._writing = True
                poller.modify(link.fd, select.POLLIN | select.POLLOUT)
            else:
                poller.modify(link.fd, select.POLLIN)

    def _poller(self) -> select.poll:
        poll, current = self._poll, self._session.current
        if poll is None or current is not self._polled:  # as after an interrupted `_dial`
            poll = select.poll()
            poll.register(self._wakeup, select.POLLIN)
            self._monitored.clear()
            self._writing = False
            for link in self._session.links():
                poll.register(link.fd, select.POLLIN)
                if link.monitor_fd >= 0:
                    poll.register(link.monitor_fd, select.POLLIN)
                    self._monitored.add(link.monitor_fd)
            self._poll, self._polled = poll, current
        return poll

    def _links_changed(self) -> None:
        self._poll = None

    def _wake(self, call: PendingCall) -> None:
        """Called by the leader when a call got a message: wakes its thread if it sleeps."""
        if not self._waiters:
            return
        with self._lock:
            waiter = self._waiters.pop(call, None)
        if waiter is not None:
            waiter.gate.release()

    def _close(self) -> None:
        self._session.close()
        with self._lock:
            self.closed = True
            waiters, self._waiters = self._waiters, {}
            os.close(self._wakeup)
            nested, self._nested = self._nested, None
        for waiter in waiters.values():
            waiter.gate.release()
        if nested is not None:
            nested.close()
