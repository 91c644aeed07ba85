"""The OpenAI connector against a real server on a real socket: answers, faults, reuse, cancelling."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, StreamEvent

FOUR_WORDS = "one two three four five six"


def call(stream: bool = False, **options: Any) -> ProviderCall:
    body = {"model": "ignored", "messages": [{"role": "user", "content": "hello there"}]} | options.pop("body", {})
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    options = {"timeout": 10.0, "first_token_timeout": 5.0, "idle_timeout": 5.0} | options
    operation = options.pop("operation", CHAT)
    return ProviderCall(operation, options.pop("model", "m"), fields, stream=stream, **options)


async def collect(provider: Any, request: ProviderCall) -> tuple[list[StreamEvent], ProviderFailure | None]:
    events = []
    try:
        async for event in provider.stream(request):
            events.append(event)
    except ProviderFailure as failure:
        return events, failure
    return events, None


def text(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events)


async def test_a_unary_answer_is_passed_on_byte_for_byte_with_its_usage(upstream):
    headers = {"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "6m0s", "x-request-id": "r1"}
    _, provider = await upstream([{"reply": "hi", "usage": {"prompt_tokens": 7}, "headers": headers}])
    answer = await provider.execute(call())
    document = msgspec.json.decode(answer.body)
    assert document["choices"][0]["message"]["content"] == "hi"
    assert document["model"] == "m"  # replaced, not what the app said
    assert document["system_fingerprint"] == "scripted"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 1)
    assert answer.limits is not None
    assert (answer.limits.remaining_requests, answer.limits.reset_requests) == (9, 360.0)
    assert answer.headers["x-request-id"] == "r1"
    assert answer.headers["x-ratelimit-remaining-requests"] == "9"
    assert not {"content-type", "date", "server", "content-length"} & set(answer.headers)


async def test_a_stream_brings_text_finish_reason_and_a_hidden_usage_event(upstream):
    _, provider = await upstream([{"reply": "a b c"}])
    events, failure = await collect(provider, call(stream=True))
    assert failure is None
    assert text(events) == "a b c"
    assert [event.finish_reason for event in events if event.finish_reason] == ["stop"]
    assert events[-1].hidden
    assert events[-1].usage is not None
    assert events[-1].usage.output_tokens == 3


async def test_usage_that_the_app_asked_for_is_not_hidden(upstream):
    _, provider = await upstream([{"reply": "a b c"}])
    events, _ = await collect(provider, call(stream=True, body={"stream_options": {"include_usage": True}}))
    assert not any(event.hidden for event in events)
    assert events[-1].usage is not None


async def test_tool_calls_are_content(upstream):
    _, provider = await upstream([{"tool_call": {"name": "f", "arguments": {"a": 1}}}])
    events, failure = await collect(provider, call(stream=True))
    assert failure is None
    assert events[0].content
    assert events[0].text == ""
    assert events[1].finish_reason == "tool_calls"


async def test_embeddings_and_completions(upstream):
    _, provider = await upstream([{"embedding": 4}, {"reply": "done"}, {"reply": "x y"}])
    answer = await provider.execute(call(operation=EMBEDDINGS, body={"input": ["a b", "c"]}))
    document = msgspec.json.decode(answer.body)
    assert [len(row["embedding"]) for row in document["data"]] == [4, 4]
    assert answer.usage is not None
    assert answer.usage.input_tokens == 3
    answer = await provider.execute(call(operation=COMPLETION, body={"prompt": "p"}))
    assert msgspec.json.decode(answer.body)["choices"][0]["text"] == "done"
    events, failure = await collect(provider, call(stream=True, operation=COMPLETION, body={"prompt": "p"}))
    assert (text(events), failure) == ("x y", None)


UNARY_FAULTS = [
    ({"error": 401}, FailureKind.AUTHENTICATION),
    ({"error": 403}, FailureKind.PERMISSION),
    ({"error": 404, "code": "model_not_found"}, FailureKind.MODEL_NOT_FOUND),
    ({"error": 429}, FailureKind.RATE_LIMIT),
    ({"error": 429, "code": "insufficient_quota"}, FailureKind.QUOTA),
    ({"error": 400, "code": "context_length_exceeded"}, FailureKind.CONTEXT_LENGTH),
    ({"error": 400, "message": "bad request"}, FailureKind.INVALID_REQUEST),
    ({"error": 500}, FailureKind.SERVER),
    ({"error": 529}, FailureKind.SERVER),
    ({"fault": "reset"}, FailureKind.CONNECTION),
    ({"fault": "cut_chunk"}, FailureKind.CONNECTION),
    ({"fault": "bad_end"}, FailureKind.BAD_ANSWER),
    ({"fault": "error_event"}, FailureKind.BAD_ANSWER),
    ({"fault": "empty"}, FailureKind.BAD_ANSWER),
    ({"fault": "html"}, FailureKind.BAD_ANSWER),
]


@pytest.mark.parametrize(("step", "kind"), UNARY_FAULTS, ids=lambda value: str(value))
async def test_unary_faults(upstream, step, kind):
    _, provider = await upstream([step])
    with pytest.raises(ProviderFailure) as caught:
        await provider.execute(call())
    assert caught.value.kind is kind
    assert "sk-secret" not in caught.value.message


@pytest.mark.parametrize("fault", ["timeout", "silence"])
async def test_no_answer_in_time_is_a_timeout(upstream, fault):
    _, provider = await upstream([{"fault": fault}])
    with pytest.raises(ProviderFailure) as caught:
        await provider.execute(call(timeout=0.2))
    assert caught.value.kind is FailureKind.TIMEOUT


STREAM_FAULTS = [
    ("reset", FailureKind.CONNECTION, FailureKind.STREAM_CUT),
    ("clean_close", FailureKind.BAD_ANSWER, FailureKind.STREAM_CUT),
    ("cut_chunk", FailureKind.CONNECTION, FailureKind.STREAM_CUT),
    ("silence", FailureKind.TIMEOUT, FailureKind.STREAM_CUT),
    ("bad_chunk", FailureKind.BAD_ANSWER, FailureKind.STREAM_CUT),
    ("bad_end", FailureKind.BAD_ANSWER, FailureKind.STREAM_CUT),
    ("error_event", FailureKind.BAD_ANSWER, FailureKind.BAD_ANSWER),
]


@pytest.mark.parametrize(("fault", "at_once", "later"), STREAM_FAULTS)
@pytest.mark.parametrize("after", [0, 4])
async def test_stream_faults(upstream, fault, at_once, later, after):
    _, provider = await upstream([{"reply": FOUR_WORDS, "fault": fault, "after": after}])
    events, failure = await collect(provider, call(stream=True, first_token_timeout=0.3, idle_timeout=0.3))
    assert failure is not None
    assert failure.kind is (later if after else at_once)
    assert text(events) == ("one two three four" if after else "")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("empty", FailureKind.BAD_ANSWER), ("html", FailureKind.BAD_ANSWER), ("timeout", FailureKind.TIMEOUT)],
)
async def test_streams_that_never_begin(upstream, fault, kind):
    _, provider = await upstream([{"fault": fault}])
    events, failure = await collect(provider, call(stream=True, first_token_timeout=0.2))
    assert events == []
    assert failure is not None
    assert failure.kind is kind


async def test_connections_are_reused(upstream):
    server, provider = await upstream([{"reply": "hi"}])
    for _ in range(5):
        await provider.execute(call())
        events, failure = await collect(provider, call(stream=True))
        assert (text(events), failure) == ("hi", None)
    assert server.connections <= 2  # a stream's end and the next request may cross


async def until_open(server: Any, count: int) -> None:
    """Wait until so many requests are being answered."""
    async with asyncio.timeout(10.0):
        while server.open != count:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.002)


async def test_closing_a_stream_closes_its_upstream_at_once(upstream):
    server, provider = await upstream([{"reply": "a b c d e f", "chunk_delay": "5s"}])
    stream = provider.stream(call(stream=True))
    await anext(stream)
    assert server.open == 1
    async with asyncio.timeout(1.0):
        await stream.aclose()
        await until_open(server, 0)
    assert server.cancelled == 1


async def test_cancelling_a_unary_call_closes_its_upstream(upstream):
    server, provider = await upstream([{"fault": "timeout"}])
    task = asyncio.create_task(provider.execute(call()))
    await until_open(server, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(1.0):
        await until_open(server, 0)
    assert server.cancelled == 1


async def test_max_retries_tries_again_before_the_router_hears_of_it(upstream):
    server, provider = await upstream([{"error": 503}, {"fault": "reset"}, {"reply": "hi"}], max_retries=2)
    await provider.execute(call())
    assert server.script.served == 3
    server, provider = await upstream([{"error": 400}, {"reply": "hi"}], max_retries=2)
    with pytest.raises(ProviderFailure):
        await provider.execute(call())
    assert server.script.served == 1


async def test_a_refused_connection_names_the_server(upstream):
    server, provider = await upstream()
    await server.stop()
    with pytest.raises(ProviderFailure) as caught:
        await provider.execute(call())
    assert caught.value.kind is FailureKind.CONNECTION
    assert caught.value.message == f"connection refused by {server.url.removeprefix('http://')}"


async def test_retry_after_is_handed_on(upstream):
    _, provider = await upstream([{"error": 429, "retry_after": 7}])
    with pytest.raises(ProviderFailure) as caught:
        await provider.execute(call())
    assert caught.value.retry_after == 7.0
    assert caught.value.status == 429
    assert b"scripted error 429" in caught.value.body


async def test_models_and_probes(upstream):
    _, provider = await upstream({"a": [{"echo": True}], "text-embedding-b": [{"embedding": 3}]})
    assert [(row.id, row.capabilities) for row in await provider.list_models()] == [
        ("a", ("chat-completion",)),
        ("text-embedding-b", ("text-embeddings",)),
    ]
    assert await provider.probe(2.0) > 0


async def raw_server(answer: bytes) -> tuple[asyncio.Server, str]:
    """A server that says `answer` to any request, byte for byte, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def http(body: bytes, content_type: str = "application/json", status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}Connection: close\r\n\r\n"
    return head.encode() + body


PLAIN = (
    b'{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"whole"}}],'
)
PLAIN += b'"usage":{"prompt_tokens":1,"completion_tokens":2}}'


async def test_a_server_that_ignores_stream_still_streams_once(upstream):
    server, url = await raw_server(http(PLAIN))
    _, provider = await upstream(base_url=url)
    events, failure = await collect(provider, call(stream=True))
    assert failure is None
    assert [(event.text, event.finish_reason, event.content) for event in events] == [("whole", "stop", True)]
    assert b"chat.completion.chunk" in events[0].data
    assert events[0].usage is not None
    server.close()


async def test_an_event_stream_under_another_content_type_is_known_by_its_beginning(upstream):
    body = b': hi\n\ndata: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    server, url = await raw_server(http(body, "text/plain"))
    _, provider = await upstream(base_url=url)
    events, failure = await collect(provider, call(stream=True))
    assert (text(events), failure) == ("a", None)
    server.close()


async def test_done_alone_after_content_is_a_regular_end_but_not_after_a_lost_chunk(upstream):
    good = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    for body, kind in (
        (good, None),
        (good + b"data: {oops\n\n", FailureKind.STREAM_CUT),
        (b"", FailureKind.BAD_ANSWER),
    ):
        server, url = await raw_server(http(body + b"data: [DONE]\n\n", "text/event-stream"))
        _, provider = await upstream(base_url=url)
        _, failure = await collect(provider, call(stream=True))
        assert (failure.kind if failure else None) is kind
        server.close()


async def test_redirects_are_refused_and_said(upstream):
    server, url = await raw_server(http(b"", status="307 Temporary Redirect", more="Location: https://x.test/v2\r\n"))
    _, provider = await upstream(base_url=url)
    with pytest.raises(ProviderFailure, match=r"redirects to https://x\.test/v2") as caught:
        await provider.execute(call())
    assert caught.value.kind is FailureKind.BAD_ANSWER
    server.close()


async def test_something_that_is_not_http(upstream):
    server, url = await raw_server(b"SSH-2.0-OpenSSH_9.2\r\n")
    _, provider = await upstream(base_url=url)
    with pytest.raises(ProviderFailure, match="does not speak HTTP") as caught:
        await provider.execute(call())
    assert caught.value.kind is FailureKind.BAD_ANSWER
    server.close()


async def test_a_key_that_the_provider_repeats_is_not_passed_on(upstream):
    body = b'{"error":{"message":"Incorrect API key provided: sk-secret-of-the-test","code":"invalid_api_key"}}'
    server, url = await raw_server(http(body, status="401 Unauthorized"))
    _, provider = await upstream(base_url=url)
    with pytest.raises(ProviderFailure) as caught:
        await provider.execute(call())
    assert "sk-secret" not in caught.value.message + str(caught.value) + caught.value.body.decode()
    server.close()


async def test_a_stale_connection_is_replaced_without_a_failure(upstream):
    """The first request is answered and its connection kept; the second finds it closed as it is sent."""
    answered = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        first = True
        while head := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            if not first:
                writer.transport.abort()  # no byte of an answer
                return
            first = False
            answered += 1
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(PLAIN)
            )
            writer.write(PLAIN)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    _, provider = await upstream(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    await provider.execute(call())
    await provider.execute(call())
    assert answered == 2
    server.close()


async def test_unix_sockets(upstream, tmp_path):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(PLAIN))
        writer.close()

    server = await asyncio.start_unix_server(handle, tmp_path / "s.sock")
    _, provider = await upstream(base_url=f"unix:{tmp_path}/s.sock")
    assert (await provider.execute(call())).body == PLAIN
    server.close()
    _, provider = await upstream(base_url=f"unix:{tmp_path}/none.sock")
    with pytest.raises(ProviderFailure, match="nothing listens at"):
        await provider.execute(call())
