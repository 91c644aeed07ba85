"""HTTP clients, and the installed `openai` package's own clients, with the mesh's socket as their transport.

Must never: open a port.

The package uses httpx2 since its version 3 and httpx before; both have the same transport interface, so the transports
are made for the module that the installed package imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelmesh._async.http_transport import async_transport
from modelmesh._openai_sdk.arguments import BASE_URL
from modelmesh._sync.http_transport import transport
from modelmesh.errors import ConfigurationError

if TYPE_CHECKING:
    import openai


def openai_client(*, socket: str | None = None, app: str | None = None, **kwargs: Any) -> openai.OpenAI:
    """The installed package's `OpenAI`, talking to the mesh. kwargs are its own, except `http_client`.

    Raises ConfigurationError if `openai` is not installed.
    """
    package, http = _installed(kwargs)
    kwargs["http_client"] = http.Client(transport=transport(http, socket, app), trust_env=False)
    return package.OpenAI(**kwargs)  # type: ignore[no-any-return]


def async_openai_client(*, socket: str | None = None, app: str | None = None, **kwargs: Any) -> openai.AsyncOpenAI:
    """The installed package's `AsyncOpenAI`, talking to the mesh. kwargs are its own, except `http_client`.

    Raises ConfigurationError if `openai` is not installed.
    """
    package, http = _installed(kwargs)
    kwargs["http_client"] = http.AsyncClient(transport=async_transport(http, socket, app), trust_env=False)
    return package.AsyncOpenAI(**kwargs)  # type: ignore[no-any-return]


def http_client(*, socket: str | None = None, app: str | None = None, library: Any = None, **kwargs: Any) -> Any:
    """An `httpx.Client` whose transport is the mesh's socket, for libraries that accept one (`http_client=`).

    library: the module to use; if None the one of the installed `openai` package, else httpx or httpx2, as installed.
    kwargs are the client's own. Raises ConfigurationError if none is installed.
    """
    http = library or _http_library()
    return http.Client(transport=transport(http, socket, app), **_http_options(kwargs))


def async_http_client(*, socket: str | None = None, app: str | None = None, library: Any = None, **kwargs: Any) -> Any:
    """An `httpx.AsyncClient` likewise (`http_async_client=`)."""
    http = library or _http_library()
    return http.AsyncClient(transport=async_transport(http, socket, app), **_http_options(kwargs))


def _http_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    for name in ("transport", "proxy", "mounts"):
        if kwargs.pop(name, None):
            raise TypeError(f"{name} cannot be given: the mesh's socket takes its place")
    return {"base_url": BASE_URL, "timeout": 600.0, "trust_env": False, **kwargs}


def _http_library() -> Any:
    from importlib import import_module

    try:
        base: Any = import_module("openai._base_client")
        return getattr(base, "httpx2", None) or base.httpx
    except (ImportError, AttributeError):
        pass
    for name in ("httpx", "httpx2"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ConfigurationError("no HTTP library is installed: pip install httpx")


def _installed(kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The `openai` package and the HTTP library it uses; completes the arguments of its clients."""
    if "http_client" in kwargs:
        raise TypeError("http_client cannot be given: the mesh's socket takes its place")
    try:
        import openai
        from openai import _base_client  # noqa: PLC2701 - no public name says which library it is
    except ImportError as error:
        raise ConfigurationError("the OpenAI SDK is not installed: pip install openai") from error
    kwargs.setdefault("api_key", "modelmesh")
    kwargs.setdefault("base_url", BASE_URL)
    return openai, getattr(_base_client, "httpx2", None) or getattr(_base_client, "httpx", None)
