"""The front end of the process itself, with the admission that it shares with the socket."""

from __future__ import annotations

import asyncio
import os

import pytest

from meshd.gateway.frontends.admission import Admission, Limits, Rights
from meshd.gateway.frontends.exchange import ClientGone, Request
from meshd.gateway.frontends.inproc import InprocFrontend
from modelmesh import MeshError, NotFoundError, QueueFullError

ASK = "/v1/chat/completions"


class Served:
    """Every request that is let in waits in `begun`."""

    def __init__(self) -> None:
        self.begun: list[Request] = []
        self.admission = Admission(self.begun.append, (ASK,), Limits(60.0, 1024, 2), lambda caller: Rights(True, 1024))
        self.frontend = InprocFrontend(self.admission)


@pytest.fixture
def served() -> Served:
    return Served()


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, 10)


async def test_an_answer(served):
    asked = asyncio.ensure_future(served.frontend.ask("GET", "/mesh/v1/x", {}, {"by": "a b"}))
    await asyncio.sleep(0)
    (request,) = served.begun
    assert (request.path, request.query, request.caller.pid) == ("/mesh/v1/x", "by=a+b", os.getpid())
    request.reply.respond(b'{"a": 1}', {})
    assert await soon(asked) == {"a": 1}
    assert not served.admission.in_flight


async def test_an_error_is_raised(served):
    reply = served.frontend.send("GET", "/mesh/v1/none")
    served.begun[0].reply.error(NotFoundError("none"))
    with pytest.raises(NotFoundError):
        await soon(reply.whole())


async def test_a_stream_is_read_at_its_readers_pace(served):
    reply = served.frontend.send("POST", ASK, b"{}", stream=True)

    async def provide():
        for number in range(100):
            await reply.chunk(b"%d" % number)
        reply.end({"total_tokens": 1}, {"model": "m"})

    provided = asyncio.ensure_future(provide())
    await asyncio.sleep(0)
    assert (reply.credit, reply.sent < 100) == (0, True), "nothing has been read yet"
    came = [data async for data in reply]
    await soon(provided)
    assert came == [b"%d" % number for number in range(100)]
    assert (reply.usage, reply.mesh) == ({"total_tokens": 1}, {"model": "m"})


async def test_what_came_before_an_error_is_read_first(served):
    reply = served.frontend.send("POST", ASK, b"{}", stream=True)
    await reply.chunk(b"1")
    reply.error(MeshError("cut", code="cut"))
    chunks = aiter(reply)
    assert await anext(chunks) == b"1"
    with pytest.raises(MeshError, match="cut"):
        await anext(chunks)


async def test_a_reader_that_leaves_cancels_its_request(served):
    reply = served.frontend.send("POST", ASK, b"{}", stream=True)
    served.begun[0].task = task = asyncio.ensure_future(asyncio.Event().wait())
    served.begun[0].begun = True
    reply.close()
    reply.close()
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
    assert not served.admission.in_flight
    assert served.admission.was_interrupted(served.begun[0].request_id)
    with pytest.raises(ClientGone):
        await reply.chunk(b"late")


async def test_one_that_is_cancelled_while_it_waits_cancels_its_request(served):
    waiting = asyncio.ensure_future(served.frontend.send("POST", ASK, b"{}").whole())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=10)
    assert not served.admission.in_flight


async def test_its_requests_count_beside_those_of_other_front_ends(served):
    replies = [served.frontend.send("POST", ASK, b"{}") for _ in range(3)]
    assert len(served.begun) == 2
    with pytest.raises(QueueFullError):
        await soon(replies[2].whole())
    served.admission.draining = True
    served.begun[0].reply.respond(b"", {})
    with pytest.raises(MeshError) as refused:
        await soon(served.frontend.send("POST", ASK, b"{}").whole())
    assert refused.value.code == "draining"
    large = served.frontend.send("POST", ASK, bytes(1025))
    with pytest.raises(MeshError) as refused:
        await soon(large.whole())
    assert refused.value.code == "message_too_large"


async def test_nothing_begins_after_the_end(served):
    served.frontend.stop_receiving()
    with pytest.raises(MeshError, match="ended"):
        served.frontend.send("GET", "/mesh/v1/status")
