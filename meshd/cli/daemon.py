"""The connection from `meshctl` to the daemon.

Owns: which socket is used, how long to wait, and turning the client's errors into exit codes and plain words.
Must never: print an answer, or know what a command does with it. The client library is loaded at the first call, so
that `--help` and the completion of options stay fast.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from meshd.cli.holder import held_by
from meshd.cli.screen import output as out

if TYPE_CHECKING:
    from modelmesh import MeshError, OpenAIClient

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
NO_DAEMON: Final = 69  # EX_UNAVAILABLE
INTERNAL: Final = 70  # EX_SOFTWARE
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141  # as a shell reports SIGPIPE

COMMAND_TIMEOUT: Final = 30.0
_PATIENCE: Final = 1.0  # s until a command that waits checks whether the daemon is healthy
_LIVES: Final = 1.0  # s within which a healthy daemon answers
_AGAIN: Final = 5.0  # s until the next check
_DRAIN_SLACK: Final = 1.0  # s: a person is waiting, and a restart takes less
PREFIX: Final = "/mesh/v1"
_NOT_TEXT: Final = "An argument is not text in UTF-8."


class Settings:
    """The values of the global options; a process has one command line."""

    socket: str | None = None
    json: bool = False


settings = Settings()


class Refused(Exception):
    """Ends the command with exit code 1 and this message."""


class Misused(Exception):
    """Ends the command with exit code 2: its arguments name something that does not exist."""


def client(timeout: float = 600.0) -> OpenAIClient:
    """A client of the daemon at `--socket`, else where clients look."""
    import modelmesh

    return modelmesh.OpenAIClient(
        settings.socket, timeout=timeout, max_retries=0, app="meshctl", drain_slack=_DRAIN_SLACK
    )


class Daemon:
    """The mesh's own operations, each answered with a JSON map."""

    def __init__(self, timeout: float = COMMAND_TIMEOUT) -> None:
        self._client = client(timeout)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """GET /mesh/v1/`path`; query values of None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        suffix = f"?{urlencode(given, doseq=True)}" if given else ""
        with waiting():
            return _map(self._client.mesh.request("GET", f"{PREFIX}/{path}{suffix}"))

    def post(self, path: str, body: Mapping[str, Any] | None = None, waits_for: str = "") -> dict[str, Any]:
        with waiting(waits_for):
            return _map(self._client.mesh.request("POST", f"{PREFIX}/{path}", dict(body or {})))

    def events(self) -> Iterator[dict[str, Any]]:
        """Every event from now on, without end."""
        with self._client.mesh.events() as stream:
            for event in stream:
                yield _map(event)


def ask(path: str, **query: Any) -> dict[str, Any]:
    """One GET on a connection of its own."""
    with Daemon() as daemon:
        return daemon.get(path, **query)


def tell(
    path: str, body: Mapping[str, Any] | None = None, timeout: float = COMMAND_TIMEOUT, waits_for: str = ""
) -> dict[str, Any]:
    """One POST on a connection of its own. waits_for: what a healthy daemon may need a long time for."""
    with Daemon(timeout) as daemon:
        return daemon.post(path, body, waits_for)


@contextmanager
def waiting(what: str = "") -> Iterator[None]:
    """For a call that may take a long time: print to stderr what it waits for, `what` or the daemon itself."""
    over = threading.Event()
    if not settings.json or sys.stderr.isatty():  # otherwise a program reads the error from stderr
        threading.Thread(target=_tell_wait, args=(over, what), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _tell_wait(over: threading.Event, what: str) -> None:
    from modelmesh.errors import DaemonUnavailableError, MeshError, RequestTimeoutError

    patience = _PATIENCE
    while not over.wait(patience):
        text = f"Waiting for {what}." if what else ""
        try:
            with client(_LIVES) as another:
                another.mesh.describe()
            over.wait(_LIVES)
        except (DaemonUnavailableError, RequestTimeoutError):
            holder = next(filter(None, map(held_by, paths())), None)
            text = "No daemon answers. Waiting for one."
            if holder is not None:
                text = f"The daemon does not answer: {holder.says}. Waiting for it."
        except MeshError as error:  # a daemon that drains is healthy
            text = text or str(error).partition("\n")[0]
        if text and not over.is_set():
            out.remark(f"meshctl: {text} Ctrl-C ends this.")
            return
        patience = _AGAIN


def paths() -> list[str]:
    """Where clients look for a daemon."""
    from modelmesh import ConfigurationError, DaemonUnavailableError, discovery

    try:
        found = discovery.find(settings.socket)
    except DaemonUnavailableError as error:
        return [str(path) for path in error.extra.get("paths", ())]
    except ConfigurationError:  # another machine's, without its keys
        return []
    return [found.removeprefix("ipc://")]


def _map(answer: Any) -> dict[str, Any]:
    """One of the client's objects as JSON."""
    return answer if isinstance(answer, dict) else answer.to_dict()


# -- errors -------------------------------------------------------------------------------------------


def report(error: Exception) -> int:
    """Print to stderr what went wrong, as text or, with --json, as JSON. Returns the exit code."""
    from modelmesh.errors import DaemonUnavailableError, MeshError

    found: dict[str, Any]
    if isinstance(error, Misused):
        lines, code, found = [str(error)], USAGE, {"message": str(error), "code": "usage"}
    elif isinstance(error, Refused):
        lines, code, found = [str(error)], REFUSED, {"message": str(error), "code": "refused"}
    elif isinstance(error, DaemonUnavailableError):
        paths = list(error.extra.get("paths", ()))
        permitted, left_out = error.extra.get("permitted", True), error.extra.get("left_out")
        lines, code = no_daemon(str(error), paths, permitted, left_out), NO_DAEMON
        found = {"message": str(error), "code": error.code, "paths": paths}
    elif isinstance(error, MeshError):
        lines, code = _refusal(error), REFUSED
        found = {"message": error.message, "code": error.code, "status": error.status_code, **error.extra}
        if error.attempts:
            found["attempts"] = error.attempts
    elif isinstance(error, UnicodeEncodeError):  # bytes in an argument reach Python as surrogates
        lines, code, found = [_NOT_TEXT], USAGE, {"message": _NOT_TEXT, "code": "usage"}
    elif isinstance(error, OSError) and error.strerror:
        lines, code = [f"{error.filename}: {error.strerror}" if error.filename else error.strerror], REFUSED
        found = {"message": lines[0], "code": "os_error"}
    else:
        lines, code = _unexpected(error), INTERNAL
        found = {"message": "; ".join(lines), "code": "internal_error"}
    if settings.json:
        sys.stderr.write(out.as_json({"error": found}) + "\n")
    else:
        out.complain("\n".join(lines))
    return code


def no_daemon(message: str, paths: list[Any], permitted: bool, left_out: Mapping[str, str] | None = None) -> list[str]:
    from modelmesh.discovery import how_to_start

    if not permitted or not paths or str(paths[0]).startswith("tcp://"):
        return message.split("\n")
    for path in map(str, paths):
        if (holder := held_by(path)) is not None:  # another daemon could not start there
            return [
                f"The daemon does not answer: {holder.says}.",
                f"  tried {path}: it listens there",
                *(f"  {each}" for each in holder.advice),
            ]
    return [
        f"No daemon answers; start one with `{called('meshd')}`.",
        *(f"  tried {path}: {what_is_there(path)}" for path in map(str, paths)),
        *(f"  left out {path}: {why}" for path, why in (left_out or {}).items()),
        *(f"  {each}" for each in how_to_start()),
        "  for a daemon at another place: --socket PATH, or MESH_SOCKET",
    ]


def called(program: str) -> str:
    """How to call a program of ours from here: by its path if it is not on PATH, as after `make run`."""
    beside = os.path.join(os.path.dirname(sys.executable), program)
    if shutil.which(program) is not None or not os.path.exists(beside):
        return program
    return min(os.path.relpath(beside), beside, key=len)


def what_is_there(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "no such file"
    return "nothing answers there" if stat.S_ISSOCK(mode) else "that is not a socket"


def _refusal(error: MeshError) -> list[str]:
    """The daemon's message and, below it, what the class of the error adds: attempts, reasons, problems."""
    lines: list[str] = str(error.message).split("\n")
    for problem in error.extra.get("problems") or ():
        if str(problem.get("message")) not in error.message:  # an error of the client lists all problems itself
            lines.append("  " + problem_line(problem))
    if len(lines) > 1:
        return lines
    tried = [_attempt(attempt) for attempt in error.attempts]
    if error.attempts and type(error).__name__ in _PASSED_ON:  # the provider's own words
        provider = error.attempts[-1].get("provider") or "the provider"
        sentence = f"Provider {provider} refuses this request ({error.status_code}); change it and ask again."
        if error.status_code == 404:
            sentence = f"Provider {provider} does not have this model (404)."
        return [
            sentence,
            f"  {error.attempts[-1].get('model', '?')}: {error.message}",
        ]
    lines += [
        f"  {line}" if tried.count(line) == 1 else f"  {line}, {tried.count(line)} times"
        for line in dict.fromkeys(tried)
    ]
    reasons = error.extra.get("reasons")
    if isinstance(reasons, Mapping):
        lines += [f"  {model}: {reason}" for model, reason in reasons.items()]
    if error.retry_after:
        lines.append(f"  try again in {error.retry_after:.0f} s")
    return lines


_PASSED_ON: Final = ("InvalidRequestError", "NotFoundError", "ConflictError", "UnprocessableEntityError")


def _attempt(attempt: Mapping[str, Any]) -> str:
    what = attempt.get("reason") or attempt.get("message") or "failed"
    status = f" ({attempt['status']})" if attempt.get("status") else ""
    return f"{attempt.get('model', '?')}: {what}{status}"


def problem_line(problem: Mapping[str, Any]) -> str:
    """`file:line: path: message; did you mean "…"?`."""
    from modelmesh.wording import meant

    place = str(problem.get("file") or "")
    if problem.get("line"):
        place += f":{problem['line']}"
    parts = [part for part in (place, str(problem.get("path") or ""), str(problem.get("message") or "")) if part]
    return ": ".join(parts) + meant(problem.get("suggestion"))


def _unexpected(error: Exception) -> list[str]:
    if isinstance(error, ModuleNotFoundError):
        from meshd.host.process.start import what_to_install

        return [what_to_install(error)]
    text = str(error) or "no message"
    return [f"{type(error).__name__}: {text}", "  this is a bug; MESHCTL_DEBUG=1 shows where"]
