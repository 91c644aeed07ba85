"""The ways into a daemon, for clients that others wrote: its mesh socket, HTTP over TCP, HTTP over a UNIX socket."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import modelmesh
from tests.support.waiting import WAIT

KEY = "none"


def proxy(directory: Path) -> dict[str, Any]:
    """The section of a configuration that the last two need. The port is any that is free."""
    return {"enabled": True, "port": "auto", "socket": str(directory / "http.sock")}


class Door:
    """kind: `mesh`, `tcp` or `unix`. The last two need `proxy`."""

    def __init__(self, kind: str, daemon: Any) -> None:
        self.kind = kind
        self._socket = str(daemon.socket)
        self.root = "http://modelmesh"
        if kind != "mesh":
            tcp, self._http_socket = daemon.status()["http"]["addresses"]
            self.root = tcp if kind == "tcp" else "http://mesh"

    @property
    def base_url(self) -> str:
        return f"{self.root}/v1"

    def http(self, library: Any = None) -> Any:
        """A client for libraries that accept one; None if theirs will do. library: httpx or httpx2, as theirs is."""
        library = library or used_by("openai")
        if self.kind == "mesh":
            return modelmesh.http_client(socket=self._socket, library=library)
        if self.kind == "unix":
            return library.Client(transport=library.HTTPTransport(uds=self._http_socket), timeout=WAIT)
        return None

    def async_http(self, library: Any = None) -> Any:
        """The same for asyncio."""
        library = library or used_by("openai")
        if self.kind == "mesh":
            return modelmesh.async_http_client(socket=self._socket, library=library)
        if self.kind == "unix":
            return library.AsyncClient(transport=library.AsyncHTTPTransport(uds=self._http_socket), timeout=WAIT)
        return None

    def openai(self, **options: Any) -> Any:
        """`openai.OpenAI`."""
        return import_module("openai").OpenAI(**self._options("openai", self.base_url, self.http, options))

    def async_openai(self, **options: Any) -> Any:
        return import_module("openai").AsyncOpenAI(**self._options("openai", self.base_url, self.async_http, options))

    def anthropic(self, **options: Any) -> Any:
        """`anthropic.Anthropic`."""
        return import_module("anthropic").Anthropic(**self._options("anthropic", self.root, self.http, options))

    def async_anthropic(self, **options: Any) -> Any:
        made = import_module("anthropic").AsyncAnthropic
        return made(**self._options("anthropic", self.root, self.async_http, options))

    def _options(self, package: str, url: str, http: Any, options: dict[str, Any]) -> dict[str, Any]:
        given = {"base_url": url, "api_key": KEY, "max_retries": 0, "timeout": WAIT}
        return {**given, "http_client": http(used_by(package)), **options}


def used_by(package: str) -> Any:
    """The HTTP library that the clients of this package are made of."""
    bases = import_module(package).DefaultHttpxClient.__mro__
    name = next(base.__module__.partition(".")[0] for base in bases if base.__module__.startswith("httpx"))
    return import_module(name)
