"""The command `meshd`: from its arguments to its exit status.

Owns: exit codes, and how errors are reported. The run itself is in `process.py`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from meshd.app.arguments import Options, complete
from meshd.app.listen import ListenError
from meshd.app.process import Process
from meshd.compilation.before_start.posture import untrusted_packages
from meshd.config import MeshConfig, find_config
from meshd.config.check.problems import configuration_error
from meshd.config.source import ConfigSource
from meshd.gateway.frontends.ipc.socket_claim import SocketTaken
from meshd.host.plain_text import harmless, one_line
from meshd.host.process.descriptors import FEWEST_FILES, raise_file_limit
from meshd.host.process.dumpable import set_dumpable
from meshd.host.process.shortages import no_thread
from meshd.host.process.standard_streams import open_standard_streams, release_standard_streams
from meshd.telemetry.logs import LogBridge
from modelmesh.errors import ConfigurationError, MeshError

logger = logging.getLogger("meshd")

EX_OK = 0
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
EX_CONFIG = 78


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Never returns; the exit code follows sysexits(3)."""
    open_standard_streams()
    try:
        status = run(parse(sys.argv[1:] if arguments is None else arguments))
    finally:
        release_standard_streams()
    sys.exit(status)


def run(options: Options) -> int:
    os.umask(0o077)
    set_dumpable(False)  # before any key is read
    logs = _logs(options.log_level)
    try:
        source = _source(options.config)
        config = source.peek()[0]
        _check_packages(config)
        config.require_valid()
    except ConfigurationError as error:
        return _refused(error)
    if options.check:
        return _checked(config, options.socket)
    set_dumpable(config.daemon.dumpable)
    files, warning = raise_file_limit()
    if files < FEWEST_FILES:
        _complain(str(warning))
        return EX_OSERR
    if warning:
        logger.warning("%s", warning)
    _warn_of_proxies(config)
    try:
        Process(options, source, config, logs).run()
        return EX_OK
    except ConfigurationError as error:
        return _refused(error)
    except (SocketTaken, ListenError) as error:
        _complain(str(error))
        return EX_UNAVAILABLE
    except MeshError as error:
        _complain(str(error))
        return EX_SOFTWARE
    except OSError as error:
        _complain(f"cannot run here: {_about(error)}")
        logger.debug("cannot run", exc_info=True)
        return EX_OSERR
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not no_thread(error):
            raise
        _complain(f"cannot run here: {_NO_ROOM}")
        return EX_OSERR


_NO_ROOM = "no more threads or memory; raise `ulimit -u` and `ulimit -v` (TasksMax=, MemoryMax= in a unit)"


def _about(error: OSError) -> str:
    """The error's text, with advice if the cause is clear."""
    advice = {
        errno.EMFILE: "raise `ulimit -n` (LimitNOFILE= in a unit)",
        errno.ENFILE: "the machine has too many open files",
        errno.ENOSPC: "free some disk space",
        errno.EROFS: "give it a place to write with --socket and daemon.state_dir",
        errno.EACCES: "give it a place to write with --socket and daemon.state_dir",
    }.get(error.errno or 0)
    what = error.strerror or str(error) or type(error).__name__
    where = f": {error.filename}" if error.filename else ""
    return f"{what}{where}" + (f"; {advice}" if advice else "")


def parse(arguments: Sequence[str]) -> Options:
    """Raises SystemExit for help, and for arguments that are wrong."""
    options = complete(arguments)
    if options is None:
        from meshd.app.parser import parser_of_arguments

        options = Options(**vars(parser_of_arguments().parse_args(arguments)))
    return options


def _logs(level: str | None) -> LogBridge:
    """Send Python's logging to standard error while the mesh does not run."""
    for chatty in ("pykka", "asyncio", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)  # the actors log their own failures
    return LogBridge().install(level or "info")


def _source(given: str | None) -> ConfigSource:
    path = Path("/dev/stdin") if given == "-" else find_config(given)
    return ConfigSource.of_file(path) if path is not None else ConfigSource.built_in()


def _check_packages(config: MeshConfig) -> None:
    """Refuse to import what other users can change, before a connector of another package is imported. Raises
    ConfigurationError."""
    found = list(untrusted_packages())
    if found and config.daemon.strict:
        raise configuration_error(found)
    for problem in found:
        logger.warning("%s", problem)


def _checked(config: MeshConfig, socket: str | None) -> int:
    """Print everything that would prevent a start, one line each."""
    from meshd.compilation.before_start.preflight import obstacles
    from meshd.config.advice import remarks

    code = EX_OK
    for found in obstacles(config, socket, strict=True):
        _complain(found.message + ("" if found.fatal else " (meshd starts anyway)"))
        if found.fatal and code != EX_CONFIG:
            code = EX_CONFIG if found.problem is not None else EX_UNAVAILABLE
    for remark in remarks(config):
        _complain(f"note: {remark}")
    if code == EX_OK:
        print(f"{one_line(config.file or 'the built-in configuration')}: valid")
    return code


def _warn_of_proxies(config: MeshConfig) -> None:
    """Done at the start, because later errors say only that a provider cannot be reached."""
    if any(name.lower().endswith("_proxy") for name in os.environ):
        from meshd.compilation.before_start.preflight import proxies

        for found in proxies(config):
            logger.warning("%s", found.message)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # a full disk; the exit status still tells
        print(f"meshd: {harmless(text)}", file=sys.stderr)


def _refused(error: ConfigurationError) -> int:
    from meshd.config import Problem

    problems = error.extra.get("problems") or []
    for problem in problems:
        _complain(str(Problem(**problem)))
    if not problems:
        _complain(str(error))
    return EX_CONFIG
