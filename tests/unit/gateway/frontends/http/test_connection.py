"""One HTTP connection: one request at a time, within bounds of time and room."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from meshd.config.schema import ProxyConfig
from meshd.core.caller import Peer
<<<<<<< HEAD
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.frontends.admission import Admission, Limits, Rights
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.http import reply as replies
from meshd.gateway.frontends.http.connection import HttpConnection
from meshd.gateway.frontends.http.incoming import MOST_FIELDS, MOST_HEAD
from meshd.gateway.frontends.http.listeners import Listener
from meshd.gateway.frontends.http.server import HttpServer
from meshd.gateway.frontends.turns import Turns
from meshd.gateway.spoken import spoken_at
from modelmesh.errors import MeshError, RateLimitError
from tests.support.daemons.served import until

LIMIT = 1000
CHAT = "/v1/chat/completions"


class Wire(asyncio.Transport):
    """What a connection writes to. unread: bytes that the client has not read yet."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = self.ended = False
        self.reading = True
        self.unread = 0

    def write(self, data: Any) -> None:
        assert not self.closing
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class World:
    """A server without sockets. answer: what becomes of an admitted request."""

    def __init__(self, answer: Callable[[Request], None] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.asked: list[Request] = []
        self.answer = answer or (lambda request: request.reply.respond(request.body, {}, None))
        self.admission = Admission(
            self.accept, spoken_at().keys(), Limits(60.0, LIMIT, 8), lambda caller: Rights(True, LIMIT, "the.limit")
        )
        self.server = HttpServer(self.admission, self.endpoints())
        self.server.use(ProxyConfig(), {})
        self.turns = Turns(self.loop)
        self.server.open(self.loop, self.turns)
        self.connect()

    def endpoints(self) -> Dispatcher:
        async def asked(*_: Any) -> None:
            raise AssertionError("requests are admitted, not run")

        table = Dispatcher({path: spoken.format.name for path, spoken in spoken_at().items()}, asked)
        table.add("GET", "/v1/models", asked)
        table.add("POST", "/mesh/v1/reload", asked)
        return table

    def connect(self) -> None:
        room = self.admission.room
        self.connection = HttpConnection(
            self.loop,
            Peer(os.getuid()),
            self.server,
            self.turns,
            room,
            listener=Listener(is_unix=False),
            keepalive=75.0,
        )
        self.server.connections.add(self.connection)
        self.wire = Wire()
        self.connection.connection_made(self.wire)

    def accept(self, request: Request) -> None:
        self.asked.append(request)
        request.task = self.loop.create_future()  # type: ignore[assignment]
        self.answer(request)

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.wire.closing:
                self.connection.data_received(piece)
        await self.settle()

    async def settle(self) -> None:
        """Until nothing more happens by itself."""
        before = -1
        while before != (before := len(self.wire.written) + len(self.asked)):
            for _ in range(6):
                await asyncio.sleep(0)

    @property
    def answers(self) -> list[SimpleNamespace]:
        return list(parsed(bytes(self.wire.written)))

    @property
    def statuses(self) -> list[int]:
        return [each.status for each in self.answers]


def parsed(data: bytes) -> Iterator[SimpleNamespace]:
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while True:
                size, _, rest = rest.partition(b"\r\n")
                piece, rest = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
                if not piece:
                    break
                body += piece
        elif "content-length" in headers:
            body, rest = rest[: int(headers["content-length"])], rest[int(headers["content-length"]) :]
        data = rest
        yield SimpleNamespace(status=int(first.split()[1]), headers=headers, body=body)


def post(body: bytes = b"{}", *headers: str, path: str = CHAT, length: bool = True) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        *headers,
        *([f"Content-Length: {len(body)}"] if length else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(at)]


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


cuts = some.lists(some.integers(0, 4000), max_size=8)
GET = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "statuses", "bodies", "stays"),
    [
        (post(b'{"a":1}'), [200], [b'{"a":1}'], True),
        (post(chunked(b'{"a"', b":1}"), "Transfer-Encoding: chunked", length=False), [200], [b'{"a":1}'], True),
        (GET + post(b"{}") + GET, [200] * 3, [b"", b"{}", b""], True),
        (GET * 12, [200] * 12, [b""] * 12, True),
        (b"\r\n" + GET, [200], [b""], True),
        (GET.replace(b"1.1", b"1.0"), [200], [b""], False),
        (GET.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), [200], [b""], True),
        (post(b"{}", "Connection: close") + GET, [200], [b"{}"], False),
        (post(chunked(b"{}"), "Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked", length=False) + GET,
         [200, 200], [b"{}", b""], True),
        (post(b"{}", "Connection: Upgrade", "Upgrade: h2c") + GET, [200, 200], [b"{}", b""], True),
        (GET.replace(b"GET /", b"GET http://127.0.0.1/"), [200], [b""], True),
        (post(b"{}", path=f"{CHAT}?x=1"), [200], [b"{}"], True),
        (b"HEAD /v1/models HTTP/1.1\r\nHost: [::1]:8741\r\n\r\n" + GET, [200, 200], [b"", b""], True),
        # refused, but understood: the connection stays
        (post(b"{}", path="/v1/chat") + GET, [404, 200], [b""], True),
        (post(b"{}", path="/mesh/v1/reload") + GET, [404, 200], [b""], True),
        (b"DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET, [405, 200], [b""], True),
        (post(b"x" * (LIMIT + 1)) + GET, [413, 200], [b""], True),
        (post(b"{}", "Content-Encoding: gzip") + GET, [415, 200], [b""], True),
        (GET.replace(b"localhost", b"evil.example") + GET, [403, 200], [b""], True),
        (b"OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET, [204, 200], [b""], True),
        # refused, and closed
        (post(b"", "Content-Length: 9999999", length=False), [413], [], False),
        (post(b"", "Content-Length: 5000", "Expect: 100-continue", length=False), [413], [], False),
        (post(chunked(b"x" * LIMIT, b"y"), "Transfer-Encoding: chunked", length=False), [413], [], False),
        (post(b"{}", "Connection: Upgrade", "Upgrade: websocket"), [426], [], False),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", [404], [], False),
        (post(b"{}", "Transfer-Encoding: chunked"), [400], [], False),
        (post(b"{}", "Content-Length: 2"), [400], [], False),
        (post(b"{}", "Content-Length: +2", length=False), [400], [], False),
        (post(b"{}", "Transfer-Encoding: gzip, chunked", length=False), [501], [], False),
        (post(b"{}", "Transfer-Encoding: gzip", length=False), [501], [], False),
        (post(b"{}", "Host: localhost"), [400], [], False),
        (post(b"zz", "Transfer-Encoding: chunked", length=False), [400], [], False),
        (b"GET /v1/models HTTP/1.1\r\n\r\n", [400], [], False),
        (b"GET /v1/models HTTP/2.0\r\nHost: localhost\r\n\r\n", [505], [], False),
        (b"GET /v1/models\r\n\r\n", [505], [], False),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", [405], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA : b\r\n\r\n", [400], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n", [400], [], False),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", [400], [], False),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], [], False),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [405], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * MOST_HEAD, [431], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * (MOST_FIELDS + 1), [431], [], False),
        (b"GET /" + b"a" * MOST_HEAD, [431], [], False),
        (b"\r\n" * MOST_HEAD, [431], [], False),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)  # fmt: skip
@settings(max_examples=15)
@given(places=cuts)
def test_requests_in_pieces(
    data: bytes, statuses: list[int], bodies: list[bytes], stays: bool, places: list[int]
) -> None:
    async def test() -> None:
        world = World()
        await world.send(*cut(data, places))
        assert world.statuses == statuses
        assert [request.body for request in world.asked] == bodies
        assert (not world.wire.ended and not world.wire.closing) == stays
        assert world.admission.room.total == 0
        for answer in world.answers:
            if answer.status >= 400:
                assert json.loads(answer.body)["error"]["message"]
        assert all(len(answer.headers.get("x-request-id", "")) == 32 for answer in world.answers if answer.status > 199)

    run(test)


@settings(max_examples=200)
@given(
    data=some.binary(max_size=300),
    before=some.sampled_from([b"", b"POST ", GET[:20], GET[:-2], post()[:-3]]),
    places=cuts,
)
def test_anything_is_answered_or_awaited(data: bytes, before: bytes, places: list[int]) -> None:
    async def test() -> None:
        world = World()
        await world.send(*cut(before + data, places))
        for answer in world.answers:
            assert answer.status in (100, 200, 400, 403, 404, 405, 413, 415, 426, 431, 501, 505)

    run(test)


def test_twenty_thousand_malformed_requests() -> None:
    """Each on a connection of its own, and then a good one."""
    chance = random.Random(11)
    seeds = [post(b'{"a":1}'), post(chunked(b"ab"), "Transfer-Encoding: chunked", length=False), GET]

    async def test() -> None:
        world = World()
        for _ in range(20_000):
            data = bytearray(chance.choice(seeds))
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(data))
                kind = chance.randrange(3)
                if kind == 0:
                    data[at] = chance.randrange(256)
                elif kind == 1:
                    del data[at : at + chance.randint(1, 5)]
                else:
                    data[at:at] = chance.choice([b"\r\n", b"\0", b":", b" ", b"\xff", b"0" * 20, b"Host: a\r\n"])
                data = data or bytearray(b"x")
            world.connection.data_received(bytes(data))
            world.connection.connection_lost(None)
            world.wire.abort()
            world.connect()
            await asyncio.sleep(0)
        await world.send(GET)
        assert world.statuses == [200]
        assert world.admission.room.total == 0
        assert not world.admission.in_flight

    run(test)


# -- what is under way ----------------------------------------------------------------------------------
=======
from meshd.gateway.frontends.socket_connection import UNREAD_BYTES
from tests.support.daemons.served import until
from tests.support.gateway.http_world import GET, World, post, run
>>>>>>> fd15b1a (Both sockets' connections send, wait and end by one module)


def test_a_client_that_leaves_has_its_request_cancelled() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post() + post())
        (request,) = world.asked  # one at a time
        assert len(world.admission.in_flight) == 1
        world.connection.connection_lost(None)
        assert request.task is not None
        assert request.task.cancelled()
        assert not world.admission.in_flight
        assert world.connection not in world.server.connections

    run(test)


def test_a_client_that_asks_may_send_its_body() -> None:
    async def test() -> None:
        world, asking = World(lambda request: None), post(b"{}", "Expect: 100-continue")
        await world.send(post() + asking[:-2])
        assert not world.wire.written  # the answer before it comes first
        world.asked[0].reply.respond(b"", {}, None)
        await world.settle()
        assert world.statuses == [200, 100]
        await world.send(asking[-2:])
        assert [request.body for request in world.asked] == [b"{}", b"{}"]

    run(test)


def test_what_is_sent_ahead_waits_within_bounds() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(*[GET * 100] * 40)
        assert not world.wire.reading
        assert len(world.asked) == 1
        for number in range(4000):
            world.asked[number].reply.respond(b"", {}, None)
            await world.settle()
        assert world.statuses == [200] * 4000
        assert world.wire.reading

    run(test)


def test_a_client_that_reads_slowly_is_waited_for_then_dropped() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post())
        await world.asked[0].reply.chunk(b"1")
        world.connection.pause_writing()
        sending = asyncio.ensure_future(world.asked[0].reply.chunk(b"2"))
        await world.settle()
        assert not sending.done()
        world.connection.resume_writing()
        await asyncio.wait_for(sending, 5)
        world.asked[0].reply.end(None, {})
        world.wire.unread = 5
        world.connection.check(1e12, 75.0)
        assert not world.wire.closing  # it may still be reading
        world.connection.check(2e12, 75.0)
        assert world.wire.closing

    run(test)


def test_a_client_with_much_to_read_is_held_back_then_dropped() -> None:
    async def test() -> None:
        world = World()
        world.connection.pause_writing()
        world.wire.unread = UNREAD_BYTES + 1
        await world.send(GET + GET + GET[:5])
        assert world.statuses == [200]  # the others wait
        assert not world.wire.reading
        world.connection.check(1e12, 75.0)
        world.wire.unread -= 1
        world.connection.check(2e12, 75.0)
        assert not world.wire.closing
        world.wire.unread = 0
        world.connection.resume_writing()
        await world.settle()
        assert world.statuses == [200] * 2
        assert world.wire.reading

        world.connection.pause_writing()
        world.wire.unread = UNREAD_BYTES + 1
        await world.send(GET[5:])
        world.connection.check(3e12, 75.0)
        world.connection.check(4e12, 75.0)
        assert world.wire.closing
        assert world.admission.room.total == 0

    run(test)


def test_tokens_have_shares_of_their_own() -> None:
    """Also where all of them come from one address."""
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("ann", "bob")}

    async def test() -> None:
        world = World(lambda request: None)
        world.server.use(ProxyConfig(), {digest: name for name, digest in digests.items()})
        world.admission.connections.capacity = 64
        peer = Peer(network="192.0.2.1")
        for name in ("ann", "bob"):
            world.connect(peer)
            await world.send(post(b"{}", f"Authorization: Bearer {name}"))
            assert world.admission.connections.of(digests[name]) == 1
            assert world.admission.room.of(digests[name]) > 0
        assert [request.caller.app for request in world.asked] == ["ann", "bob"]
        await world.send(post(b"{}", "Authorization: Bearer ann")[:-1])
        assert world.admission.connections.of(digests["ann"]) == 2
        world.connect(peer)
        await world.send(post())
        assert world.admission.connections.of(peer.shares_as) == 1
        assert world.statuses == [403]
        for connection in list(world.server.connections):
            connection.connection_lost(None)
        assert world.admission.room.total == world.admission.connections.total == 0

    run(test)


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [(b"", []), (GET, [200]), (GET[:10], [408]), (post(b"{}")[:-1], [408]), (b"\r\n", [408])],
)
def test_who_waits_too_long_is_closed(sent: bytes, statuses: list[int]) -> None:
    async def test() -> None:
        world = World()
        if sent:
            await world.send(sent)
        world.connection.check(1e12, 75.0)
        await world.settle()
        assert world.statuses == statuses
        assert world.wire.closing or world.wire.ended
        assert world.admission.room.total == 0

    run(test)


def test_a_body_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        world = World()
        monkeypatch.setattr("meshd.gateway.frontends.socket_connection.ROOM_PATIENCE", 0.01)
        monkeypatch.setattr(world.admission, "has_room", lambda *_: False)
        await world.send(post(b"{}")[:-2], b"{}")
        assert not world.wire.written
        await until(lambda: world.wire.ended)
        assert world.statuses == [429]

    run(test)


def test_draining_closes_what_is_idle_and_what_is_answered() -> None:
    async def test() -> None:
        world, idle = World(lambda request: None), World()
        await world.send(post())
        world.server.drain("", 1.0)
        idle.server.drain("", 1.0)
        assert idle.wire.closing
        world.asked[0].reply.respond(b"{}", {}, None)
        await world.settle()
        assert world.answers[0].headers["connection"] == "close"
        assert world.wire.ended

    run(test)
