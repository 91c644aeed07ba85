"""The table of operations, without a socket."""

from __future__ import annotations

import json
import os
import time

import pytest

from meshd.core.caller import Peer, is_owner
from meshd.gateway.control.dispatcher import Call, Dispatcher, path_meant
from meshd.gateway.frontends.exchange import ClientGone
from modelmesh import AccessDeniedError, NotFoundError
from tests.support.gateway.asked import Asked, answer_of

ROOT = Peer(uid=0)
OWN = Peer(uid=os.getuid())
OTHER = Peer(uid=os.getuid() + 12345, name="other")


class Recorded(Asked):
    """Keeps what it is answered with."""

    def __init__(self, method="GET", path="/a", body=b"", caller=OTHER, timeout=60.0, **options):
        super().__init__(body, method=method, path=path, caller=caller, timeout=timeout, **options)
        self.said: list = []

    def on_respond(self, body, mesh, headers):
        self.said.append(("respond", json.loads(body)))

    def on_error(self, error):
        self.said.append(("error", error.status_code, error.code))

    def on_end(self, usage, mesh):
        self.said.append(("end",))

    def on_chunk(self, data):
        self.said.append(("chunk", json.loads(data)))


@pytest.fixture
def dispatcher():
    async def infer(request):
        request.reply.respond(b'"inferred"', {})

    async def echo(call: Call):
        return {"body": call.body, "query": call.query, "rest": call.rest}

    async def numbers(call: Call):
        for number in range(3):
            yield number

    async def gone(call: Call):
        raise ClientGone

    async def bug(call: Call):
        raise ZeroDivisionError

    table = Dispatcher({"/v1/infer": "anthropic"}, infer)
    table.add("GET", "/a", echo, stream=numbers)
    table.add("GET", "/below/", echo)
    table.add("POST", "/admin", echo, admin=True)
    table.add("GET", "/gone", gone)
    table.add("GET", "/bug", bug)
    return table


async def answer(dispatcher, *arguments, **options):
    exchange = Recorded(*arguments, **options)
    await dispatcher.run(exchange)
    return exchange.said


async def test_paths_queries_and_bodies(dispatcher):
    said = await answer(dispatcher, "GET", "/a?x=1&y=a%20b&x=2", b'{"k": [1]}')
    assert said == [("respond", {"body": {"k": [1]}, "query": {"x": "2", "y": "a b"}, "rest": ""})]
    said = await answer(dispatcher, "GET", "/below/a%2Fb/c")
    assert said[0][1]["rest"] == "a/b/c"


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [
        ("GET", "/nowhere", b"", (404, "unknown_path")),
        ("GET", "/below/", b"", (404, "unknown_path")),
        ("POST", "/a", b"", (405, "method_not_allowed")),
        ("GET", "/v1/infer", b"", (405, "method_not_allowed")),
        ("GET", "/a", b"[]", (400, "invalid_json")),
        ("GET", "/a", b"{", (400, "invalid_json")),
        ("GET", "/a", b"\xff", (400, "invalid_json")),
        ("GET", "/a", b'{"a":' * 50_000, (400, "invalid_json")),
        ("GET", "/bug", b"", (500, "internal_error")),
    ],
)
async def test_refusals(dispatcher, method, path, body, refusal):
    assert await answer(dispatcher, method, path, body) == [("error", *refusal)]


async def test_inference_paths_go_to_inference(dispatcher):
    assert await answer(dispatcher, "POST", "/v1/infer", b"anything") == [("respond", "inferred")]


async def test_an_operation_may_answer_by_itself(dispatcher):
    async def back(request, rest):
        request.reply.respond(b'"%b %b"' % (rest.encode(), request.body), {})

    dispatcher.add_raw("PUT", "/raw/", back, format="anthropic")
    assert await answer(dispatcher, "PUT", "/raw/a%20b", b"not JSON") == [("respond", "a b not JSON")]


def test_what_a_path_takes_and_how_its_errors_are_told(dispatcher):
    assert dispatcher.methods("/v1/infer") == {"POST"}
    assert dispatcher.methods("/a") == dispatcher.methods("/below/x") == {"GET"}
    assert dispatcher.methods("/below/") == dispatcher.methods("/nowhere") == set()
    dispatcher.add("GET", "/below/it/", None, format="responses")
    dispatcher.add("POST", "/b", None, format="responses")
    formats = [dispatcher.format(path, {}) for path in ("/v1/infer", "/b", "/below/it/x", "/a", "/nowhere")]
    assert formats == ["anthropic", "responses", "openai", "openai", "openai"]
    dispatcher.add("GET", "/both", None, format=lambda headers: headers.get("speaks", "openai"))
    assert [dispatcher.format("/both", headers) for headers in ({}, {"speaks": "anthropic"})] == ["openai", "anthropic"]


async def test_operations_that_are_added_when_they_are_asked_for(dispatcher):
    added = []

    async def hello(call):
        return "hello"

    def add():
        added.append("group")
        dispatcher.add("GET", "/late/hello", hello, format="responses")

    dispatcher.add_later(("/late/", "/later"), add)
    assert await answer(dispatcher, "GET", "/a") != [("respond", "hello")]
    assert dispatcher.format("/a", {}) == "openai"
    assert not added
    assert dispatcher.format("/late/hello", {}) == "responses"
    assert await answer(dispatcher, "GET", "/late/hello") == [("respond", "hello")]
    assert added == ["group"]


def test_the_list_of_paths_has_those_that_were_not_asked_for_yet(dispatcher):
    dispatcher.add_later(("/late/",), lambda: dispatcher.add("GET", "/late/hello", None))
    assert ("/late/hello", "GET") in dispatcher.paths(own=False)


async def test_streams(dispatcher):
    assert await answer(dispatcher, stream=True, credit=9) == [("chunk", 0), ("chunk", 1), ("chunk", 2), ("end",)]
    assert await answer(dispatcher, path="/below/x", stream=True) == [("error", 400, "invalid_request")]


async def test_a_stream_that_is_not_taken_ends_at_the_deadline(dispatcher):
    said = await answer(dispatcher, stream=True, credit=1, timeout=0.01)
    assert said == [("chunk", 0), ("error", 504, "timeout")]


async def test_a_client_that_disconnected_is_told_nothing(dispatcher):
    assert await answer(dispatcher, path="/gone") == []


async def test_operators_commands(dispatcher):
    assert await answer(dispatcher, "POST", "/admin", caller=OTHER) == [("error", 403, "access_denied")]
    for caller in (ROOT, OWN):
        assert (await answer(dispatcher, "POST", "/admin", caller=caller))[0][0] == "respond"
    with pytest.raises(AccessDeniedError, match="root") as caught:
        await answer_of(dispatcher, "POST", "/admin", caller=OTHER)
    assert caught.value.app == "other"
    done = await answer_of(dispatcher, "POST", "/admin", b'{"a": 1}', ROOT)
    assert done == {"body": {"a": 1}, "query": {}, "rest": ""}


def test_an_unknown_caller_is_not_an_operator():
    assert not is_owner(Peer())
    assert is_owner(ROOT)


async def test_describe_says_who_is_an_administrator(dispatcher):
    dispatcher.is_admin = lambda caller: caller == OTHER
    assert (await answer(dispatcher, "POST", "/admin", caller=OTHER))[0][0] == "respond"
    assert await answer(dispatcher, "POST", "/admin", caller=ROOT) == [("error", 403, "access_denied")]


# -- credit -----------------------------------------------------------------------------------------------


async def test_chunks_wait_for_credit():
    import asyncio

    exchange = Recorded(stream=True, credit=1)
    await exchange.reply.chunk(b"1")
    waiting = asyncio.ensure_future(exchange.reply.chunk(b"2"))
    await asyncio.sleep(0)
    assert not waiting.done()
    exchange.reply.add_credit(2)
    await waiting
    await exchange.reply.chunk(b"3")
    assert (exchange.reply.credit, exchange.reply.sent) == (0, 3)


async def test_cancel_is_idempotent_and_harmless_when_done():
    import asyncio

    exchange = Recorded()
    exchange.cancel()  # no task yet
    exchange.task = asyncio.ensure_future(asyncio.Event().wait())
    exchange.cancel()
    exchange.cancel()
    await asyncio.wait([exchange.task])
    assert exchange.task.cancelled()
    exchange.task = asyncio.ensure_future(asyncio.sleep(0))
    exchange.reply.done = True
    exchange.cancel()
    await exchange.task


@pytest.mark.parametrize("query", ["", "?", "?api-version=2024-10-21", "?a=1&b=%2F?", "?" + "x" * 3000])
async def test_a_query_is_not_part_of_any_path(dispatcher, query):
    assert await answer(dispatcher, "POST", f"/v1/infer{query}", b"{}") == [("respond", "inferred")]
    assert (await answer(dispatcher, "GET", f"/a{query}"))[0][0] == "respond"
    assert (await answer(dispatcher, "GET", f"/v1/infer{query}"))[0][1:] == (405, "method_not_allowed")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/admin", "/v1/infer"])
async def test_other_methods_of_a_path(dispatcher, method, path):
    assert (await answer(dispatcher, method, path, caller=ROOT))[0][1:] == (405, "method_not_allowed")
    assert (await answer(dispatcher, "DELETE", "/below/x"))[0][1:] == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/", "", "/v1/infers", "/v1/infer/", "/below/", "/v1/\x1b[31m", "/" + "x" * 100_000])
async def test_a_path_that_is_unknown_names_those_that_are_known(dispatcher, path):
    with pytest.raises(NotFoundError) as caught:
        await answer_of(dispatcher, "POST", path, caller=OTHER)
    assert {"/v1/infer", "/a", "/below/…"} <= set(caught.value.extra["paths"])
    assert "POST /v1/infer" in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n", 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"model=a", 415),
        ({"content-type": "audio/wav"}, b"RIFF", 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"\x1f\x8b\x08", 415),
        ({"content-type": "multipart/form-data; boundary=x"}, b" {}", 200),
        ({"content-type": "application/x-www-form-urlencoded"}, b"{}", 200),
        ({"content-type": "application/vnd.api+json; charset=utf-8"}, b"\n\t {}", 200),
        ({}, b"{}", 200),
    ],
)
async def test_a_body_that_is_not_json_is_reported_as_such(dispatcher, headers, body, status):
    exchange = Recorded("GET", "/a", body, headers=headers)
    await dispatcher.run(exchange)
    assert exchange.said[0][:2] == ("error", 415) if status == 415 else exchange.said[0][0] == "respond"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/embedding", "/v1/embeddings"),
        ("/v1/responses", None),
        ("/v1/moderations", None),
        ("/v1/files", None),
        ("/v1/audio/transcriptions", None),
        ("/api/chat", None),
    ],
)
def test_only_a_path_that_was_meant_is_advised(path, meant):
    known = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/models/…"]
    assert path_meant(path, known) == meant


@pytest.mark.parametrize("many", [101, 1_000_000])
async def test_fields_are_counted_before_they_are_read(dispatcher, many):
    recorded = Recorded(path="/a?" + "a=1&" * (many - 1))
    began = time.process_time()
    await dispatcher.run(recorded)
    assert recorded.said == [("error", 431, "too_many_fields")]
    assert time.process_time() - began < 0.1


async def test_a_hundred_are_read(dispatcher):
    recorded = Recorded(path="/a?" + "&".join(f"a{number}=1" for number in range(100)))
    await dispatcher.run(recorded)
    assert len(recorded.said[0][1]["query"]) == 100


@pytest.mark.parametrize("label", ["x" * 400_000, "\x1b]0;" + "eyJaaaaaaaa-" * 40_000, "two\nlines"])
def test_a_label_is_short_and_plain(label):
    assert len(Recorded(label=label).label) <= 64
    assert Recorded(label=label).label.isprintable()
