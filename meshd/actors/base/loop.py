"""An actor whose thread runs an asyncio loop, so that one thread serves sockets, timers and messages.

Owns: the mailbox that wakes the loop, and Pykka's receive loop in asyncio's terms.
Must never: know what the router does.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pykka
import uvloop
from pykka.messages import _ActorStop  # noqa: PLC2701 - pykka has no public name for it

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.core.messaging.mailboxes import ActorUnavailable, Directory, Envelope

logger = logging.getLogger("meshd.actors")

_AT_ONCE = 64  # messages handled before the loop may serve sockets again
_TO_CLOSE = 10.0  # s


class LoopMailbox:
    """A queue that calls a function in a loop when a message is put in. Safe from every thread."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: Callable[[], None] | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        with self._lock:
            self._loop, self._wake = loop, wake
        loop.call_soon(wake)

    def detach(self) -> None:
        with self._lock:
            self._loop = self._wake = None

    def put(self, item: Any) -> None:
        self._items.append(item)
        with self._lock:
            if self._loop is not None and self._wake is not None:
                self._loop.call_soon_threadsafe(self._wake)

    def get(self) -> Any:
        return self._items.popleft()

    def empty(self) -> bool:
        return not self._items


class LoopActor(MeshActor):
    """Handlers may be coroutines: other messages are handled while one waits, and the answer is sent when it is
    done."""

    loop: asyncio.AbstractEventLoop
    actor_inbox: LoopMailbox

    @staticmethod
    def _create_actor_inbox() -> Any:
        return LoopMailbox()

    def __init__(self, directory: Directory) -> None:
        super().__init__(directory)
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- what subclasses do ---------------------------------------------------------------------------

    async def opened(self) -> None:
        """The loop runs; no message has been received yet."""

    async def closing(self, crashed: bool) -> None:
        """The actor ends; spawned tasks still run."""

    async def closed(self) -> None:
        """The last thing the loop does, after a stop or a crash."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine while the mailbox is served; it is cancelled when the actor ends."""
        task: asyncio.Task[Any] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._unhandled(self.loop, {"message": f"the task {_work(task)} failed", "exception": error})

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that no callback or task of the loop caught. asyncio's own logger is silenced."""
        error = context.get("exception")
        what = context.get("message") or "something failed"
        logger.error("in the loop of the %s actor: %s: %s", self.name, what, repr(error) if error else "no exception")
        if error is not None:
            logger.debug("in the loop of the %s actor", self.name, exc_info=error)

    def tick(self, what: str, after: float) -> None:
        """Like `MeshActor.tick`, with a timer of the loop."""
        self.cancel_tick(what)
        tell = self.directory.tell
        self._timers[what] = self.loop.call_later(after, tell, self.name, messages.Tick(what))

    async def ask_later(self, name: str, message: messages.Message, timeout: float = 10.0) -> Any:
        """Ask another actor and await its answer. Raises ActorUnavailable, or what that actor raised."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self.directory.send(name, message, _LoopReply(self.loop, future))
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise ActorUnavailable(f"the {name} actor did not answer within {timeout:g} s") from None

    # -- Pykka's loop ---------------------------------------------------------------------------------

    def _actor_loop_setup(self) -> None:
        try:
            self.loop = uvloop.new_event_loop()
            self.loop.set_exception_handler(self._unhandled)
            asyncio.set_event_loop(self.loop)
        except Exception:  # for example, no file descriptor is left
            self._handle_failure(*sys.exc_info())
        super()._actor_loop_setup()

    def _actor_loop_running(self) -> None:
        if not hasattr(self, "loop"):
            return
        if not self.actor_stopped.is_set():
            self.loop.run_until_complete(self._open())
        if not self.actor_stopped.is_set():
            self.actor_inbox.attach(self.loop, self._drain)
            self.loop.run_forever()

    def _actor_loop_teardown(self) -> None:
        self.actor_inbox.detach()
        if hasattr(self, "loop"):
            try:
                self.loop.run_until_complete(self._close())
                self.loop.close()
            except Exception:
                logger.exception("the %s actor did not close cleanly", self.name)
        super()._actor_loop_teardown()

    async def _open(self) -> None:
        try:
            await self.opened()
        except Exception:
            self._handle_failure(*sys.exc_info())

    async def _close(self) -> None:
        try:
            await asyncio.wait_for(self.closing(self._failure is not None), _TO_CLOSE)
        except Exception:
            logger.exception("the %s actor did not close cleanly", self.name)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await asyncio.wait_for(self.closed(), _TO_CLOSE)
        except Exception:
            logger.exception("the %s actor did not close cleanly", self.name)

    def _drain(self) -> None:
        for _ in range(_AT_ONCE):
            if self.actor_inbox.empty() or self.actor_stopped.is_set():
                return
            self._handle(self.actor_inbox.get())
        self.loop.call_soon(self._drain)

    def _handle(self, envelope: Envelope[Any]) -> None:
        try:
            if isinstance(envelope.message, _ActorStop):
                self._stop()
                self.loop.stop()
                answer = None
            else:
                answer = self._handle_receive(envelope.message)
            if inspect.isawaitable(answer):
                self.spawn(self._answer(envelope, answer))
            elif envelope.reply_to is not None:
                envelope.reply_to.set(answer)
        except Exception:
            self._failed(envelope)

    async def _answer(self, envelope: Envelope[Any], work: Awaitable[Any]) -> None:
        try:
            answer = await work
        except asyncio.CancelledError:
            if envelope.reply_to is not None:
                envelope.reply_to.set_exception((pykka.ActorDeadError, pykka.ActorDeadError("stopped"), None))
            raise
        except Exception:
            self._failed(envelope)
            return
        if envelope.reply_to is not None:
            envelope.reply_to.set(answer)

    def _failed(self, envelope: Envelope[Any]) -> None:
        """Pass the current exception to the actor that asked, or else end this one."""
        if envelope.reply_to is not None:
            envelope.reply_to.set_exception(sys.exc_info())
        else:
            self._handle_failure(*sys.exc_info())
            self.loop.stop()


def _work(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", task.get_name())


class _LoopReply:
    """Replaces Pykka's future: resolves a future of the loop from another actor's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
        self._loop = loop
        self._future = future

    def set(self, value: Any = None) -> None:
        self._resolve(value, None)

    def set_exception(self, exc_info: Any = None) -> None:
        error = (exc_info or sys.exc_info())[1]
        self._resolve(None, error or ActorUnavailable("it failed to answer"))

    def _resolve(self, value: Any, error: BaseException | None) -> None:
        def resolve() -> None:
            if self._future.done():
                return
            if isinstance(error, pykka.ActorDeadError):
                self._future.set_exception(ActorUnavailable(str(error)))
            elif error is not None:
                self._future.set_exception(error)
            else:
                self._future.set_result(value)

        try:
            self._loop.call_soon_threadsafe(resolve)
        except RuntimeError:  # the loop has closed: no task waits any more
            logger.debug("an answer came after the %s", "loop had closed")
