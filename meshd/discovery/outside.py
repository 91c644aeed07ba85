"""Asks the discovery connectors of other packages that the configuration names, all at once, and checks their answers.

Owns: what each of them found last, and what a found server must look like.
Must never: wait longer than `PATIENCE`, or pass on a connector's exception.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from urllib.parse import urlsplit

from msgspec.structs import replace

from meshd.core.listed_models import sound
from meshd.core.text.exceptions import one_line
from meshd.sdk.discovery import Discovery, FoundServer
from meshd.sdk.provider import ModelListing

logger = logging.getLogger("meshd.discovery")

PATIENCE = 10.0  # s for all of them
MOST = 1000  # servers that one connector may find, and models that one server may have
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Refuses = Callable[[str], str]
"""Returns why a found server may not name this provider connector, "" if it may."""


class _Asked:
    """One connector. last: what it found, which counts while it cannot look."""

    def __init__(self, id: str, connector: Discovery) -> None:
        self.id = id
        self.last: tuple[FoundServer, ...] = ()
        self.error = ""
        self._connector = connector
        self._thread: threading.Thread | None = None
        self._found: tuple[FoundServer, ...] | BaseException | None = None

    def begin(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._found = None
            self._thread = threading.Thread(target=self._look, name=f"meshd-discovery-{self.id}", daemon=True)
            self._thread.start()

    def end(self, timeout: float, refuses: Refuses) -> None:
        assert self._thread is not None
        self._thread.join(max(timeout, 0.0))
        found, error = self._found, ""
        if found is None:
            error = f"it took longer than {PATIENCE:g} s"
        elif isinstance(found, BaseException):
            error = one_line(found)
        else:
            error = next(filter(None, (_fault_of(server, refuses) for server in found)), "")
            good = (server for server in found if not _fault_of(server, refuses))
            self.last = tuple(replace(server, models=sound(server.models)) for server in good)
        if error and not self.error:
            logger.warning("discovery by %s failed: %s", self.id, error)
        self.error = error

    def _look(self) -> None:
        try:
            self._found = tuple(islice(self._connector.look(), MOST))
        except BaseException as error:  # third-party code may raise anything
            self._found = error


class OutsideDiscovery:
    """The connectors of a configuration, in its order. refuses: a provider connector that a server may not name."""

    def __init__(self, connectors: Iterable[tuple[str, Discovery]] = (), refuses: Refuses = lambda id: "") -> None:
        self._asked = [_Asked(id, connector) for id, connector in connectors]
        self._refuses = refuses

    def __bool__(self) -> bool:
        return bool(self._asked)

    @property
    def addresses(self) -> set[str]:
        """The addresses of the servers found last."""
        return {server.base_url for asked in self._asked for server in asked.last}

    def look(self) -> list[FoundServer]:
        """Everything that they find; if one fails, what it found last. Blocks: never call it in an actor's thread."""
        until = time.monotonic() + PATIENCE
        for asked in self._asked:
            asked.begin()
        for asked in self._asked:
            asked.end(until - time.monotonic(), self._refuses)
        return [server for asked in self._asked for server in asked.last]


def _fault_of(server: object, refuses: Refuses) -> str:
    if not isinstance(server, FoundServer):
        return f"it found {type(server).__name__}, not a FoundServer"
    if not isinstance(server.name, str) or not _NAME.fullmatch(server.name):
        return "the name of a server may contain only letters, digits and . - _"
    if not isinstance(server.base_url, str) or not _is_address(server.base_url):
        return f"{server.name} has no address of the form http://…, https://… or unix:/…"
    if not isinstance(server.models, tuple) or len(server.models) > MOST:
        return f"the models of {server.name} must be a tuple of at most {MOST}"
    if not all(isinstance(model, ModelListing) and isinstance(model.id, str) and model.id for model in server.models):
        return f"a model of {server.name} is not a ModelListing with an id"
    return refuses(server.connector) if isinstance(server.connector, str) else f"{server.name} names no connector"


def _is_address(url: str) -> bool:
    if url.startswith("unix:/"):
        return True
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
