"""The installed `openai` package's own clients, with the mesh's socket as their transport.

Owns: the translation between that package's HTTP messages and the protocol's.
Must never: open a port, or send the key and the telemetry headers that the package adds.

The package uses httpx2 since its version 3 and httpx before; both have the same transport interface, so the classes are
created for the module that the installed package imports.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from modelmesh._async_client import AsyncOpenAIClient
from modelmesh._base_client import checked
from modelmesh._call import Call
from modelmesh._client import OpenAIClient
from modelmesh._http_view import BASE_URL
from modelmesh._options import retry_delay
from modelmesh._streaming import AsyncStream, Stream
from modelmesh.errors import ConfigurationError, DaemonUnavailableError, MeshError, RequestTimeoutError
from modelmesh.protocol import RESPONSE, Message, RequestHead

if TYPE_CHECKING:
    import openai

_WITHHELD: Final = frozenset(
    {"authorization", "host", "connection", "content-length", "accept-encoding", "transfer-encoding", "user-agent"}
)
_PRINTABLE: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}~"
_DONE: Final = b"data: [DONE]\n\n"


def openai_client(*, socket: str | None = None, app: str | None = None, **kwargs: Any) -> openai.OpenAI:
    """The installed package's `OpenAI`, talking to the mesh. kwargs are its own, except `http_client`.

    Raises ConfigurationError if `openai` is not installed.
    """
    package, http = _installed(kwargs)
    transport = _transports(http)[0](OpenAIClient(socket, app=app))
    kwargs["http_client"] = http.Client(transport=transport, trust_env=False)
    return package.OpenAI(**kwargs)  # type: ignore[no-any-return]


def async_openai_client(*, socket: str | None = None, app: str | None = None, **kwargs: Any) -> openai.AsyncOpenAI:
    """The installed package's `AsyncOpenAI`, talking to the mesh. kwargs are its own, except `http_client`.

    Raises ConfigurationError if `openai` is not installed.
    """
    package, http = _installed(kwargs)
    transport = _transports(http)[1](AsyncOpenAIClient(socket, app=app))
    kwargs["http_client"] = http.AsyncClient(transport=transport, trust_env=False)
    return package.AsyncOpenAI(**kwargs)  # type: ignore[no-any-return]


def http_client(*, socket: str | None = None, app: str | None = None, library: Any = None, **kwargs: Any) -> Any:
    """An `httpx.Client` whose transport is the mesh's socket, for libraries that accept one (`http_client=`).

    library: the module to use; if None the one of the installed `openai` package, else httpx or httpx2, as installed.
    kwargs are the client's own. Raises ConfigurationError if none is installed.
    """
    http = library or _http_library()
    return http.Client(transport=_transports(http)[0](OpenAIClient(socket, app=app)), **_http_options(kwargs))


def async_http_client(*, socket: str | None = None, app: str | None = None, library: Any = None, **kwargs: Any) -> Any:
    """An `httpx.AsyncClient` likewise (`http_async_client=`)."""
    http = library or _http_library()
    transport = _transports(http)[1](AsyncOpenAIClient(socket, app=app))
    return http.AsyncClient(transport=transport, **_http_options(kwargs))


def _http_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    for name in ("transport", "proxy", "mounts"):
        if kwargs.pop(name, None):
            raise TypeError(f"{name} is what the mesh's socket replaces")
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
        raise TypeError("http_client is what the mesh's socket replaces")
    try:
        import openai
        from openai import _base_client
    except ImportError as error:
        raise ConfigurationError("the OpenAI SDK is not installed: pip install openai") from error
    kwargs.setdefault("api_key", "modelmesh")
    kwargs.setdefault("base_url", BASE_URL)
    return openai, getattr(_base_client, "httpx2", None) or getattr(_base_client, "httpx", None)


class _Wanted(msgspec.Struct):
    stream: bool | None = None


_read_wanted = msgspec.json.Decoder(_Wanted).decode


def _call_for(request: Any, content: bytes, app: str | None) -> Call:
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in _WITHHELD and not name.startswith("x-stainless")
    }
    try:
        stream = bool(_read_wanted(content).stream) if content else False
    except (msgspec.DecodeError, UnicodeDecodeError):
        stream = False
    head = RequestHead(
        method=request.method,
        path=request.url.raw_path.decode("ascii"),
        headers=headers,
        stream=stream,
        app=app or "",
    )
    return Call(head, content, request.extensions.get("timeout", {}).get("read"))


def _raised(http: Any, error: MeshError, request: Any) -> Any:
    """The HTTP response for an error; raises the HTTP library's own error if there was no response."""
    if isinstance(error, RequestTimeoutError):
        raise http.ReadTimeout(str(error), request=request) from error
    if isinstance(error, DaemonUnavailableError):
        raise http.ConnectError(str(error), request=request) from error
    headers = {
        "x-request-id": error.request_id or "",
        "x-should-retry": "false" if retry_delay(error, 0) is None else "true",
    }
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    headers |= _mesh_headers({"attempts": error.attempts}, error.request_id or "")
    headers["content-type"] = "application/json"
    return _whole(http, error.status_code, headers, msgspec.json.encode(_error_body(error)), request)


def _error_body(error: MeshError) -> dict[str, Any]:
    _, body, mesh = error.to_wire()
    return {"error": body, "mesh": mesh}


def _answered(http: Any, message: Message, call: Call, request: Any) -> Any:
    headers = {
        "content-type": "application/json",
        "x-request-id": call.name,  # a provider's own id takes precedence
        **message.head.headers,
        **_mesh_headers(message.head.mesh, call.name),
    }
    return _whole(http, message.head.status, headers, message.body, request)


def _whole(http: Any, status: int, headers: Mapping[str, str], body: bytes, request: Any) -> Any:
    """A response with its body. The HTTP client reads it as from any server, since `elapsed` is set only then."""
    length = {"content-length": str(len(body))}
    return http.Response(status, headers={**headers, **length}, stream=http.ByteStream(body), request=request)


def _mesh_headers(mesh: Mapping[str, Any], request_id: str) -> dict[str, str]:
    """`x-mesh-model`, `x-mesh-cost`, …: the `mesh` map as headers, lists as their length."""
    headers = {"x-mesh-request-id": request_id}
    for name, value in mesh.items():
        if isinstance(value, list | tuple):
            value = len(value)
        if isinstance(value, str | int | float):
            # Decimals, without an exponent; model names may be in any script.
            text = f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            headers[f"x-mesh-{name.replace('_', '-')}"] = quote(text, safe=_PRINTABLE)
    return headers


def _streaming(http: Any, body: Any, call: Call, request: Any) -> Any:
    headers = {"content-type": "text/event-stream", "x-request-id": call.name, "x-mesh-request-id": call.name}
    return http.Response(200, headers=headers, stream=body, request=request)


def _event(data: bytes) -> bytes:
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _error_event(error: MeshError) -> bytes:
    return _event(msgspec.json.encode(_error_body(error)))


def _unchanged(body: bytes) -> bytes:
    return body


@functools.cache
def _transports(http: Any) -> tuple[Any, Any]:
    """(blocking, asyncio) transport classes over an HTTP library."""

    class MeshBody(http.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Stream[bytes]) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            try:
                for data in self._stream:
                    yield _event(data)
            except MeshError as error:
                yield _error_event(error)
            else:
                yield _DONE

        def close(self) -> None:
            self._stream.close()

    class MeshTransport(http.BaseTransport):  # type: ignore[misc]
        def __init__(self, client: OpenAIClient) -> None:
            self._client = client

        def handle_request(self, request: Any) -> Any:
            call = _call_for(request, request.read(), self._client.app)
            try:
                connection = self._client._line.connection(self._client)
                message = checked(connection.request(call), call)
            except MeshError as error:
                return _raised(http, error, request)
            if message.kind == RESPONSE:
                return _answered(http, message, call, request)
            return _streaming(http, MeshBody(Stream(connection, call, _unchanged, message)), call, request)

        def close(self) -> None:
            self._client.close()

    class AsyncMeshBody(http.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: AsyncStream[bytes]) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for data in self._stream:
                    yield _event(data)
            except MeshError as error:
                yield _error_event(error)
            else:
                yield _DONE

        async def aclose(self) -> None:
            await self._stream.close()

    class AsyncMeshTransport(http.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, client: AsyncOpenAIClient) -> None:
            self._client = client

        async def handle_async_request(self, request: Any) -> Any:
            call = _call_for(request, await request.aread(), self._client.app)
            try:
                connection = self._client._line.connection(self._client)
                message = checked(await connection.request(call), call)
            except MeshError as error:
                return _raised(http, error, request)
            if message.kind == RESPONSE:
                return _answered(http, message, call, request)
            return _streaming(http, AsyncMeshBody(AsyncStream(connection, call, _unchanged, message)), call, request)

        async def aclose(self) -> None:
            await self._client.close()

    return MeshTransport, AsyncMeshTransport
