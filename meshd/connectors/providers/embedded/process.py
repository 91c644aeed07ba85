"""The daemon's side of a model's process: started when first needed, watched, stopped when idle.

Owns: the child process, its socket and its last output.
Must never: block the loop, leave a process or a socket behind, or start a process that is not needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import re
import secrets
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from meshd.connectors.providers.embedded.child import READY
from meshd.connectors.providers.embedded.confinement import remark
from meshd.sdk.provider import FailureKind, ProviderFailure

START_TIMEOUT = 60.0
IDLE_TIMEOUT = 300.0
KILL_AFTER = 3.0
END_WITHIN = 0.5  # s after the first broken connection, if the process is dying
LAST_WORDS = 30  # lines of stderr kept
# The kernel's limit for the path of a UNIX socket is 108 bytes including the final zero.
LONGEST_PATH = 100

logger = logging.getLogger("meshd.embedded")
_numbers = itertools.count(1)


_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH|XDG_(?:CACHE|DATA)_HOME"
    r"|(?:PYTHON|OMP_|MKL_|OPENBLAS_|KMP_|GOMP_|GGML_|CUDA_|NVIDIA_|HIP_|HSA_|ROCR_|VK_|MALLOC_|COVERAGE_)\w*"
)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the daemon's environment that a child needs; providers' keys must not be passed to it."""
    return {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}


class ChildServer:
    """One child. `use()` makes sure that it serves, and that it is not stopped while it is used."""

    def __init__(
        self,
        name: str,
        command: Callable[[str], list[str]],
        *,
        runtime_dir: str = "",
        start_timeout: float = START_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        environ: Mapping[str, str] | None = None,
        cwd: str | None = None,
        confines: bool = True,
    ) -> None:
        """command: the arguments after the interpreter's, for a socket at the given path. confines: it reports how it
        is confined."""
        self.name = name
        self.starts = 0
        self.deaths = 0  # ends that were not asked for
        self._cwd = cwd
        self._confines = confines
        self._command = command
        self._start_timeout = start_timeout
        self._idle_timeout = idle_timeout
        self._environ = environ
        self._own_dir: str | None = None
        self.socket = self._socket_path(runtime_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._said = asyncio.Event()  # `ready`, or the end
        self._ended = asyncio.Event()  # the process has ended, its files may still be there
        self._stderr: deque[str] = deque(maxlen=LAST_WORDS)
        self._rest = b""
        self._line = b""  # of its standard output
        self.confined: list[str] = []
        self.remark = ""  # which confinement is missing, once a process has reported it
        self._users = 0
        self._idle: asyncio.TimerHandle | None = None
        self._closed = False

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[str]:
        """The path of the socket, which is served while the block runs (unless the child dies). Raises
        ProviderFailure."""
        self._users += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            await self._ensure()
            yield self.socket
        finally:
            self._users -= 1
            if not self._users and self._ready and not self._closed:
                self._idle = asyncio.get_running_loop().call_later(self._idle_timeout, self._stop_when_idle)

    @property
    def running(self) -> bool:
        return self._ready

    async def suspect(self) -> None:
        """Call it when a connection broke. A dying process may close its sockets before its end is noticed: wait for
        that, so that the next use starts a new process instead of connecting to the dead one's socket."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN):
                await self._ended.wait()

    def describe(self) -> dict[str, Any]:
        process = self._process
        state = "running" if self._ready else "starting" if self._starting is not None else "stopped"
        seen: dict[str, Any] = {"state": state, "starts": self.starts, "in_use": self._users}
        if process is not None and self._ready:
            seen |= {
                "pid": process.pid,
                "confined": self.confined,
                "socket": self.socket,
                "resident_memory": _resident_memory(process.pid),
            }
        return seen

    async def aclose(self) -> None:
        self._closed = True
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        starting = self._starting
        if starting is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        if self._stopping is not None:
            await asyncio.gather(self._stopping, return_exceptions=True)
        await self._stop()
        if self._own_dir is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self._own_dir)
            self._own_dir = None

    async def _ensure(self) -> None:
        while not self._ready:
            if self._closed:
                raise ProviderFailure(FailureKind.CONNECTION, f"{self.name} is being closed")
            if self._stopping is not None:
                await asyncio.shield(self._stopping)
                continue
            if self._starting is None:
                self._starting = asyncio.create_task(self._start_for_all())
            try:
                # The start is shared, so a caller that gives up does not stop it for the others.
                await asyncio.shield(self._starting)
            except asyncio.CancelledError:
                if self._closed:
                    raise ProviderFailure(FailureKind.CONNECTION, f"{self.name} is being closed") from None
                raise

    async def _start_for_all(self) -> None:
        # The task itself resets this: a waiter that found a finished task would loop without yielding.
        try:
            await self._start()
        finally:
            self._starting = None
        if not self._users and not self._closed:
            self._idle = asyncio.get_running_loop().call_later(self._idle_timeout, self._stop_when_idle)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._said, self._ended = asyncio.Event(), asyncio.Event()
        self._stderr.clear()
        self._line = b""
        try:
            # In a thread, because fork and exec of a large process take milliseconds.
            process = await asyncio.shield(spawning := loop.run_in_executor(None, self._spawn))
        except asyncio.CancelledError:
            self._watch(loop, await spawning)
            await self._stop()
            raise
        except OSError as exc:
            raise ProviderFailure(FailureKind.CONNECTION, f"{self.name} cannot be started: {exc}") from None
        self._watch(loop, process)
        self.starts += 1
        try:
            async with asyncio.timeout(self._start_timeout):
                await self._said.wait()
        except BaseException as exc:
            await self._stop()
            if isinstance(exc, TimeoutError):
                message = f"{self.name} was not ready within {self._start_timeout:g} s{self._last_words()}"
                raise ProviderFailure(FailureKind.CONNECTION, message) from None
            raise
        if not self._ready:
            await self._stop()
            raise ProviderFailure(FailureKind.CONNECTION, f"{self.name} did not start{self._last_words()}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        Path(self.socket).parent.mkdir(mode=0o700, parents=True, exist_ok=self._own_dir is None or self.starts > 0)
        return subprocess.Popen(
            [sys.executable, "-P", *self._command(self.socket)],  # nothing is imported from the current directory
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(os.environ) if self._environ is None else dict(self._environ),
            cwd=self._cwd,
            start_new_session=True,  # so that Ctrl-C at the terminal reaches only the daemon
        )

    def _watch(self, loop: asyncio.AbstractEventLoop, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        for pipe, heard in ((process.stdout, self._heard), (process.stderr, self._complained)):
            os.set_blocking(pipe.fileno(), False)
            loop.add_reader(pipe.fileno(), heard, loop, process, pipe.fileno())

    def _heard(self, loop: asyncio.AbstractEventLoop, process: subprocess.Popen[bytes], fd: int) -> None:
        said = _read(fd)
        if said is None:
            return
        if said:
            self._line += said
            if self._line.startswith(READY.encode()) and self._line.endswith(b"\n") and process is self._process:
                self.confined = self._line.decode().split()[1:]
                self.remark = remark(self.confined) if self._confines else ""
                if self.remark:
                    _tell(self.remark)
                self._ready = True
                self._said.set()
            return
        # stdout closes when the process ends, because no other process has it open.
        loop.remove_reader(fd)
        if process is self._process:
            self._ready = False
            self._ended.set()
            self._said.set()
            if self._starting is None and self._stopping is None:
                self.deaths += 1
                self._stopping = loop.create_task(self._stop_for_all())

    def _complained(self, loop: asyncio.AbstractEventLoop, process: subprocess.Popen[bytes], fd: int) -> None:
        said = _read(fd)
        if said is None:
            return
        if not said:
            loop.remove_reader(fd)
            return
        *lines, self._rest = (self._rest + said)[-65536:].split(b"\n")
        self._stderr.extend(line.decode(errors="replace").strip() for line in lines if line.strip())

    def _stop_when_idle(self) -> None:
        self._idle = None
        if self._users or self._stopping is not None:
            return
        self._stopping = asyncio.get_running_loop().create_task(self._stop_for_all())

    async def _stop_for_all(self) -> None:
        try:
            await self._stop()
        finally:
            self._stopping = None

    async def _stop(self) -> None:
        """Terminate, kill if it does not react, reap, and clean up. Does nothing if no process runs."""
        process, self._process = self._process, None
        if process is None:
            return
        self._ready = False
        loop = asyncio.get_running_loop()
        process.terminate()
        try:
            await loop.run_in_executor(None, process.wait, KILL_AFTER)
        except subprocess.TimeoutExpired:
            process.kill()
            await loop.run_in_executor(None, process.wait)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._complained(loop, process, process.stderr.fileno())
        for pipe in (process.stdout, process.stderr):
            loop.remove_reader(pipe.fileno())
            pipe.close()
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(OSError):
            os.unlink(self.socket)
        if self._rest.strip():
            self._stderr.append(self._rest.decode(errors="replace").strip())
        self._rest = b""
        self._ended.set()

    def _last_words(self) -> str:
        words = [line for line in self._stderr if line][-4:]
        return ": " + " | ".join(words) if words else ""

    def _socket_path(self, runtime_dir: str) -> str:
        # The number distinguishes two generations of a provider during a reload.
        file = f"{self.name}-{os.getpid()}-{next(_numbers)}.sock".replace("/", "_")
        path = os.path.join(runtime_dir, file)
        if runtime_dir and len(os.fsencode(path)) <= LONGEST_PATH:
            return path
        import tempfile

        # Created with the child. Its name cannot be guessed, and mkdir refuses an existing directory.
        self._own_dir = os.path.join(tempfile.gettempdir(), f"meshd-{secrets.token_hex(8)}")
        return os.path.join(self._own_dir, "model.sock")


@functools.cache  # told once, however often models start
def _tell(remark: str) -> None:
    logger.info("%s", remark)


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _resident_memory(pid: int) -> int | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
