"""One exchange over HTTP/1.1: whatever a server sends, in whatever pieces, is an answer or an honest error."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as some
from yarl import URL

from meshd.net.answers import HIGH, MOST_HEAD, Answer
from meshd.net.failures import ConnectionLost, Cut, Disconnected, NotConnected, NotHttp, PoolFull, TransportError
from meshd.net.http import BodyTooLarge, Transport, UpstreamBody
from meshd.net.http1 import HttpConnection
from tests.support.garbage import left_by

OK = b"HTTP/1.1 200 OK\r\n"


class Wire(asyncio.Transport):
    """What a connection writes to, and whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = self.paused = False

    def write(self, data: object) -> None:
        self.written += data  # type: ignore[operator]

    def writelines(self, list_of_data: object) -> None:
        for data in list_of_data:  # type: ignore[attr-defined]
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def exchange(loop: asyncio.AbstractEventLoop) -> tuple[HttpConnection, Wire, Answer, list[HttpConnection]]:
    freed: list[HttpConnection] = []
    connection, wire = HttpConnection(loop, freed.append), Wire()
    connection.connection_made(wire)
    return connection, wire, connection.ask(b"GET / HTTP/1.1\r\n\r\n", None), freed


async def read(answer: Answer) -> bytes:
    await answer.head()
    body = b""
    while piece := await answer.read():
        body += piece
    return body


def given_bytes(data: bytes, cuts: list[int], *, ends: bool) -> tuple[int, bytes | str, bool]:
    """The answer to a server that sends this in pieces: its status, its body or its error, and whether its connection
    may be used again."""

    async def run() -> tuple[int, bytes | str, bool]:
        connection, _, answer, freed = exchange(asyncio.get_running_loop())
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for start, end in itertools.pairwise(places):
            if connection.usable:
                connection.data_received(data[start:end])
        if ends:
            connection.connection_lost(None)
        try:
            async with asyncio.timeout(0.05):
                return answer.status, await read(answer), bool(freed)
        except TransportError as error:
            return answer.status, type(error).__name__, bool(freed)
        except TimeoutError:
            return answer.status, "waits", bool(freed)

    return asyncio.run(run())


cuts = some.lists(some.integers(0, 4000), max_size=8)


@pytest.mark.parametrize(
    ("data", "ends", "expected"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", False, (200, b"hi", True)),
        (OK + b"content-length: 2\r\nConnection: close\r\n\r\nhi", False, (200, b"hi", False)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", False, (200, b"hi", False)),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", True, (200, b"hi", False)),
        (OK + b"\r\nhi", True, (200, b"hi", False)),
        (OK + b"\r\nhi", False, (200, "waits", False)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", False, (200, b"hi", True)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n", False, (200, b"hi", True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, (204, b"", True)),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", False, (200, b"hi", True)),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", False, (200, b"", True)),
        (b"HTTP/1.1 200\nContent-Length: 2\n\nhi", False, (200, b"hi", True)),
        (b"HTTP/1.1 200 Fine: \xff\r\nContent-Length: 2\r\n\r\nhi", False, (200, b"hi", True)),
        (OK + b"Content-Length: 3\r\n\r\nhi", True, (200, "Cut", False)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhi", True, (200, "Cut", False)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi", False, (200, "Cut", False)),
        (OK + b"Content-Length: 2\r\n", True, (0, "Disconnected", False)),
        (b"", True, (0, "Disconnected", False)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False, (0, "NotHttp", False)),
        (b"HTTP/2 200 OK\r\n\r\n", False, (0, "NotHttp", False)),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhi", True, (0, "NotHttp", False)),
    ],
)  # fmt: skip
@given(cuts=cuts)
def test_an_answer_in_pieces(data: bytes, ends: bool, expected: object, cuts: list[int]) -> None:
    assert given_bytes(data, cuts, ends=ends) == expected


@given(
    data=some.binary(max_size=300), before=some.sampled_from([b"", b"HTTP/1.1 ", OK, OK + b"A: b\r\n\r\n"]), cuts=cuts
)
def test_anything_is_an_answer_or_an_error(data: bytes, before: bytes, cuts: list[int]) -> None:
    status, body, _ = given_bytes(before + data, cuts, ends=True)
    assert isinstance(body, bytes) or body in ("Disconnected", "Cut", "NotHttp", "ConnectionLost")
    assert status or not isinstance(body, bytes)


async def test_what_follows_an_answer_ends_its_connection() -> None:
    connection, wire, answer, freed = exchange(asyncio.get_running_loop())
    connection.data_received(OK + b"Content-Length: 2\r\n\r\nhi" + OK)
    assert await read(answer) == b"hi"
    assert wire.closing
    assert not freed
    connection, wire, answer, freed = exchange(asyncio.get_running_loop())
    connection.data_received(OK + b"Content-Length: 0\r\n\r\n")
    assert freed == [connection]
    connection.data_received(b"x")  # that no request has asked for
    assert wire.closing


async def test_headers_without_end_are_not_kept() -> None:
    connection, wire, answer, _ = exchange(asyncio.get_running_loop())
    connection.data_received(OK)
    for number in range(MOST_HEAD // 1000 + 2):
        if connection.usable:
            connection.data_received(b"x-%d: " % number + 1000 * b"a" + b"\r\n")
    assert wire.closing
    with pytest.raises(NotHttp, match="headers"):
        await answer.head()


async def test_a_body_that_is_not_taken_is_not_read_further() -> None:
    connection, wire, answer, _ = exchange(asyncio.get_running_loop())
    connection.data_received(OK + b"\r\n" + HIGH * b"a" + b"b")
    assert wire.paused
    assert await answer.read() == HIGH * b"a" + b"b"
    assert not wire.paused


async def test_an_error_comes_after_all_that_came_before_it() -> None:
    connection, _, answer, _ = exchange(asyncio.get_running_loop())
    connection.data_received(OK + b"Content-Length: 9\r\n\r\nhi")
    connection.connection_lost(ConnectionResetError(104, "x"))
    await answer.head()
    assert await answer.read() == b"hi"
    with pytest.raises(Cut):
        await answer.read()


async def test_a_connection_that_breaks_before_the_answer() -> None:
    connection, _, answer, _ = exchange(asyncio.get_running_loop())
    connection.connection_lost(ConnectionResetError(104, "x"))
    with pytest.raises(ConnectionLost):
        await answer.head()


# -- a real server -----------------------------------------------------------------------------------

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


async def ask(transport: Transport, port: int, body: bytes | None = None) -> bytes:
    head = transport.head("GET" if body is None else "POST", URL(f"http://127.0.0.1:{port}/x?a=b"), {"A": "b"})
    return await UpstreamBody(await transport.send(head, body)).read(1000)


async def test_a_request_as_it_is_sent() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if b"Content-Length" in heads[-1]:
                heads.append(await reader.readexactly(4))
            writer.write(OK + b"Content-Length: 2\r\n\r\nhi")

    async with server(serve) as port:
        transport = Transport(secure=False, host="127.0.0.1", port=port, environ={})
        assert await ask(transport, port) == b"hi"
        assert await ask(transport, port, b"body") == b"hi"  # on the same connection
        await transport.aclose()
    host = b"Host: 127.0.0.1:%d\r\n" % port
    assert heads == [
        b"GET /x?a=b HTTP/1.1\r\n" + host + b"A: b\r\n\r\n",
        b"POST /x?a=b HTTP/1.1\r\n" + host + b"A: b\r\nContent-Length: 4\r\n\r\n",
        b"body",
    ]


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0"])
def test_a_header_cannot_become_two(value: str) -> None:
    transport = Transport(secure=False, host="h", environ={})
    for headers in ({"A": value}, {f"A{value}": "b"}):
        with pytest.raises(ValueError, match="line break"):
            transport.head("GET", URL("http://h/"), headers)


async def test_a_connection_that_its_server_has_closed_is_replaced_once() -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(OK + b"Content-Length: 2\r\n\r\nhi")
        await reader.readuntil(b"\r\n\r\n")  # and then closes, without an answer
        asked += 1

    async with server(serve) as port:
        transport = Transport(secure=False, host="127.0.0.1", port=port, environ={})
        assert await ask(transport, port) == b"hi"
        assert await ask(transport, port) == b"hi"
        await transport.aclose()
    assert asked == 3

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1

    asked = 0
    async with server(never) as port:
        transport = Transport(secure=False, host="127.0.0.1", port=port, environ={})
        with pytest.raises(Disconnected):
            await ask(transport, port)
        await transport.aclose()
    assert asked == 1


async def test_no_more_connections_than_allowed_and_none_lost() -> None:
    open_now = most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            for _ in range(3):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(OK + b"Content-Length: 2\r\n\r\nhi")
        finally:
            open_now -= 1

    async with server(serve) as port:
        transport = Transport(secure=False, host="127.0.0.1", port=port, environ={}, max_connections=3)
        tasks = [asyncio.create_task(ask(transport, port)) for _ in range(40)]
        for task in tasks[5:30:3]:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [end for end in ended if not isinstance(end, asyncio.CancelledError)] == 31 * [b"hi"]
        await transport.aclose()
    assert most <= 3


async def test_a_connection_is_closed_when_its_request_is_given_up() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        closed.set()

    async with server(serve) as port:
        transport = Transport(secure=False, host="127.0.0.1", port=port, environ={}, max_connections=1)
        for _ in range(2):
            closed.clear()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await ask(transport, port)
            async with asyncio.timeout(5):
                await closed.wait()
        await transport.aclose()


async def test_a_body_that_is_too_large() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"\r\n" + 1001 * b"a")
        await reader.read()

    async with server(serve) as port:
        transport = Transport(secure=False, host="127.0.0.1", port=port, environ={})
        with pytest.raises(BodyTooLarge):
            await ask(transport, port)
        await transport.aclose()


async def test_a_server_that_is_not_there() -> None:
    async with server(lambda *_: asyncio.sleep(0)) as port:
        pass
    transport = Transport(secure=False, host="127.0.0.1", port=port, environ={})
    with pytest.raises(NotConnected) as refused:
        await ask(transport, port)
    assert isinstance(refused.value.__cause__, ConnectionRefusedError)
    assert not isinstance(refused.value, PoolFull)
    await transport.aclose()


def test_exchanges_leave_nothing_for_the_garbage_collector() -> None:
    async def test() -> None:
        connection, _, answer, _ = exchange(asyncio.get_running_loop())

        def exchanges() -> None:
            nonlocal answer
            for _ in range(20):
                connection.data_received(OK + b"Content-Length: 2\r\n\r\nhi")
                answer = connection.ask(b"GET / HTTP/1.1\r\n\r\n", None)
            connection.connection_lost(None)
            del answer

        assert left_by(exchanges) == 0

    asyncio.run(test())


async def test_a_long_body_that_came_with_the_headers_is_read_on() -> None:
    """More than a reader of pieces lets wait has come before it is known that the body is read whole."""
    connection, wire, answer, freed = exchange(asyncio.get_running_loop())
    body = b"x" * (HIGH + 1)
    connection.data_received(OK + b"content-length: %d\r\n\r\n" % (2 * len(body)) + body)
    assert wire.paused
    reading = asyncio.ensure_future(UpstreamBody(answer).read(4 * HIGH))
    await asyncio.sleep(0)
    assert not wire.paused
    connection.data_received(body)
    assert await reading == 2 * body
    assert freed == [connection]
