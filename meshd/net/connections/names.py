"""Name lookups, distinguishing a name that does not exist from a name server that does not answer.

Owns: the lookups, each in a thread of its own, and which names were found or failed.
Must never: look up a name that does not belong to a provider.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import threading
import time
from concurrent.futures import Future, InvalidStateError
from typing import Any

from meshd.host.awake import Timeout
from meshd.host.process.shortages import ThisNameOnly

_MOST = 1024
_REMEMBERED = 60.0  # s

AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]


class Names:
    """Which names were found and which failed. A name is at fault if another was found after it began to fail."""

    def __init__(self) -> None:
        self._failing: dict[str, float] = {}  # name → since when
        self._found: dict[str, float] = {}  # name → when last

    def found(self, name: str, now: float) -> None:
        self._failing.pop(name, None)
        if "." in name.strip("."):  # names without a dot are local
            self._remember(self._found, name, now)

    def failed(self, name: str, now: float) -> bool:
        """Whether this is the only name that fails."""
        if name not in self._failing:
            self._remember(self._failing, name, now)
        since = self._failing[name]
        return any(at > since for other, at in self._found.items() if other != name)

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._failing) + len(self._found)

    @staticmethod
    def _remember(names: dict[str, float], name: str, now: float) -> None:
        names.pop(name, None)
        names[name] = now
        if len(names) > _MOST:
            del names[next(iter(names))]


_names = Names()


def _look_up(of: tuple[Any, ...], options: tuple[tuple[str, Any], ...]) -> Future[list[Any]]:
    """`getaddrinfo` in a thread of its own, shared by all callers that look up the same name. A dead name server blocks
    each lookup for half a minute: here no lookup waits for another, and the daemon does not wait for any when it
    ends."""
    key = (of, options)
    with _lock:
        if key in _under_way:
            return _under_way[key]
        if len(_under_way) >= _MOST_AT_ONCE:
            raise socket.gaierror(socket.EAI_AGAIN, "too many names are being looked up")
        found: Future[list[Any]] = Future()

        def work() -> None:
            result: list[Any] = []
            failed: BaseException | None = None
            try:
                result = socket.getaddrinfo(*of, **dict(options))
            except Exception as error:
                failed = error
            with _lock:
                del _under_way[key]
            with contextlib.suppress(InvalidStateError):  # the caller was cancelled
                found.set_result(result) if failed is None else found.set_exception(failed)

        try:
            threading.Thread(target=work, name="name lookup", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, f"no thread for a name: {error}") from error
        _under_way[key] = found
    return found


_MOST_AT_ONCE = 256
_lock = threading.Lock()
_under_way: dict[Any, Future[list[Any]]] = {}


class Resolver:
    """timeout: seconds. Results are remembered for a minute, so that requests need not wait for a lookup."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._known: dict[tuple[str, int], tuple[float, list[AddrInfo]]] = {}

    async def resolve(self, host: str, port: int) -> list[AddrInfo]:
        """Addresses as from `getaddrinfo`. Raises OSError."""
        if (family := _family_of(host)) is not None:
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
        until, known = self._known.get((host, port), (0.0, []))
        if time.monotonic() < until:
            return known
        try:
            found = await self._look_up(host, port)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN and _names.failed(host, time.monotonic()):
                raise ThisNameOnly(*error.args) from None
            raise
        _names.found(host, time.monotonic())
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[host, port] = time.monotonic() + _REMEMBERED, found
        return found

    def forget(self, host: str, port: int) -> None:
        """Its addresses do not answer: look it up again."""
        self._known.pop((host, port), None)

    async def _look_up(self, host: str, port: int) -> list[AddrInfo]:
        options = (("type", socket.SOCK_STREAM), ("flags", socket.AI_ADDRCONFIG))
        found = asyncio.wrap_future(_look_up((host, port), options))
        found.add_done_callback(lambda done: done.cancelled() or done.exception())  # no caller may be waiting any more
        try:
            with Timeout(self._timeout):
                return await asyncio.shield(found)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "the name server does not answer") from None


def _family_of(host: str) -> int | None:
    """The family of a numeric address without a zone; None for a name."""
    try:
        return socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6
    except ValueError:
        return None
