"""Errors as providers send them, through the real connector: the kind, the times, and the provider's own words."""

from __future__ import annotations

import asyncio
import re
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.catalogue.known import load_refusals
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.formats.errors.error_words import MAX_MESSAGE, read_error
from meshd.formats.errors.refusals import refusals
from meshd.formats.errors.response_failures import failure_from_response
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind
from meshd.sdk.provider import ProviderCall, ProviderFailure, ProviderSettings


def read(file: str) -> list[dict[str, Any]]:
    cases = tomllib.loads((Path(__file__).parents[3] / "support" / "data" / file).read_text())["case"]
    return [case for case in cases if not case.get("skip")]


CASES = read("refusals.toml")
APP_ERRORS, MODEL_ERRORS = read("app_errors.toml"), read("model_errors.toml")
ELSEWHERE = {"unsupported", "context_length", "model_not_found", "content_policy", "authentication", "quota", "server"}


async def answered(status: int, headers: dict[str, str], body: bytes, stream: bool = False) -> ProviderFailure:
    """What the connector makes of this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", head, re.I)[1]))
        lines = [f"HTTP/1.1 {status} Odd", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    provider = OpenAIProvider(ProviderSettings(name="p", connector="openai.llm.v1", base_url=url, api_key="k" * 20))
    call = ProviderCall(CHAT, "m", {"messages": msgspec.Raw(b"[]")}, stream=stream, timeout=20.0)
    try:
        if stream:
            with pytest.raises(ProviderFailure) as caught:
                [event async for event in provider.stream(call)]
        else:
            with pytest.raises(ProviderFailure) as caught:
                await provider.execute(call)
        return caught.value
    finally:
        await provider.aclose()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("case", CASES, ids=[f"{case['provider']}-{n}" for n, case in enumerate(CASES)])
async def test_what_a_provider_says_is_understood(case):
    failure = await answered(case["status"], case.get("headers", {}), case["body"].encode())
    assert failure.kind == case["kind"], failure.message
    assert failure.status == case["status"]
    assert failure.message
    if "words" in case:
        assert case["words"] in failure.message
    if "retry_after" in case:
        assert failure.retry_after == pytest.approx(case["retry_after"])


def refused(case: dict[str, Any]) -> ProviderFailure:
    return failure_from_response(case.get("status", 400), case["body"].encode(), [], "https://p/v1")


def source(case: dict[str, Any]) -> str:
    return case["source"].removeprefix("https://github.com/")


@pytest.mark.parametrize("case", APP_ERRORS, ids=source)
def test_the_apps_own_mistake_stays_the_apps(case):
    failure = refused(case)
    assert failure.kind == FailureKind.INVALID_REQUEST, failure.message
    assert failure.body == case["body"].encode()


@pytest.mark.parametrize("case", MODEL_ERRORS, ids=source)
def test_what_another_model_would_take_moves_on(case):
    assert refused(case).kind in ELSEWHERE, refused(case).message


def test_enough_of_both_were_tried():
    assert len(APP_ERRORS) >= 60
    assert len(MODEL_ERRORS) + sum(case["kind"] in ELSEWHERE and case["status"] < 429 for case in CASES) >= 60
    assert all(case["source"].startswith("https://github.com/") for case in APP_ERRORS + MODEL_ERRORS)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("max_tokens must be at least 1, got -5.", "invalid_request"),
        (
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "invalid_request",
        ),
        ("Invalid 'max_tokens': integer above maximum value. Expected a value <= 4096.", "context_length"),
        ("max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens", "context_length"),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", "context_length"),
        ("温度超出范围", "invalid_request"),
        ("输入长度超过模型限制", "context_length"),
        ("The request was rejected because it was considered high risk", "content_policy"),
        ("JSON parsing failed at line 1", "invalid_request"),
        ("Chat template error: role 'foo' is odd", "invalid_request"),
        ("default chat template is no longer allowed, so you must provide a chat template", "unsupported"),
        ("temperature: range: 0..1", "unsupported"),
        ("temperature must be less than or equal to 2", "invalid_request"),
        ("temperature must be less than or equal to 1.0", "unsupported"),
        ("The model returned the following errors: reasoning: Extra inputs are not permitted", "unsupported"),
        ("messages[0].role is not one of ['system', 'user']", "invalid_request"),
        ("InternalError.Algo.InvalidParameter: messages is empty", "invalid_request"),
        ("upstream error: Invalid type for 'messages'", "invalid_request"),
        ("Internal server error", "server"),
        ("The model has crashed without additional information. (Exit code: 11)", "server"),
        ("Model was unloaded while the request was still in queue..", "server"),
        ("Failed to get response from provider", "server"),
    ],
)
def test_the_words_are_no_broader_than_their_sources(message, kind):
    body = msgspec.json.encode({"error": {"message": message, "type": "invalid_request_error"}})
    assert failure_from_response(400, body, [], "https://p/v1").kind == kind


def test_a_number_is_not_a_code_of_two_providers():
    """1002 is MiniMax's rate limit, and Zhipu's word for a bad key."""
    body = b'{"error":{"code":"1002","message":"Authentication Token \\u975e\\u6cd5"}}'
    assert failure_from_response(401, body, [], "https://p/v1").kind == FailureKind.AUTHENTICATION


@pytest.mark.parametrize(
    ("code", "kind"),
    [(336501, "rate_limit"), (336103, "context_length"), (336007, "context_length"), (1261, "context_length")],
)
def test_numbers_are_what_their_providers_mean(code, kind):
    body = msgspec.json.encode({"error_code": code, "error_msg": "no"})
    assert failure_from_response(400, body, [], "https://p/v1").kind == kind


async def test_a_stream_that_is_refused_is_understood_the_same():
    failure = await answered(400, {}, b'{"detail":"unknown field `seed`"}', stream=True)
    assert (failure.kind, failure.message) == (FailureKind.UNSUPPORTED, "unknown field `seed`")


@pytest.mark.parametrize("off", [7200.0, -7200.0, 3 * 365 * 86400.0, -3 * 365 * 86400.0])
async def test_a_retry_after_by_date_is_the_providers_time(off, monkeypatch):
    monkeypatch.setattr("meshd.formats.headers.time.time", lambda: 1_800_000_000.0 + off)
    dates = {"Date": "Fri, 15 Jan 2027 08:00:00 GMT", "Retry-After": "Fri, 15 Jan 2027 08:00:20 GMT"}
    failure = await answered(429, dates, b'{"error":{"message":"slow down"}}')
    assert (failure.kind, failure.retry_after) == (FailureKind.RATE_LIMIT, 20.0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, "timeout"), (409, "server"), (410, "unsupported"), (418, "invalid_request"), (423, "server"),
        (424, "server"), (425, "server"), (451, "permission"), (499, "server"), (498, "server"), (415, "unsupported"),
        (520, "server"), (525, "server"), (529, "server"), (530, "server"), (599, "server"), (304, "bad_answer"),
        (300, "bad_answer"), (420, "rate_limit"), (505, "unsupported"), (412, "unsupported"), (494, "unsupported"),
    ],
)  # fmt: skip
def test_a_status_alone_says(status, kind):
    assert failure_from_response(status, b"", [], "https://p/v1").kind == kind


def test_every_row_of_the_catalogue_compiles_and_has_no_gap_without_end():
    for row in load_refusals():
        FailureKind(row.kind)
        assert row.source, row
        for word in row.words:
            re.compile(word)
            assert not re.search(r"(?<!\\)[*+]|\{\d+,\}", re.sub(r"\[[^\]]*\]", "", word)), word


@pytest.mark.parametrize("piece", ["model ", "max_tokens ", "exceeds ", "token ", "context ", "no ", "a", " ", "load "])
def test_no_text_makes_the_words_slow(piece):
    text = (piece * 300_000)[:300_000]
    started = time.process_time()
    failure_from_response(400, text.encode(), [], "https://p/v1")
    read_error(msgspec.json.encode({"error": {"message": text}}))
    assert time.process_time() - started < 2.0


_KEYS = [
    "error",
    "errors",
    "message",
    "msg",
    "detail",
    "metadata",
    "raw",
    "details",
    "code",
    "status",
    "base_resp",
    "loc",
]
KEYS = st.sampled_from(_KEYS) | st.text(max_size=5)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text()
JUNK = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=12)


@given(JUNK, st.integers(300, 599))
def test_no_document_breaks_the_reading(document, status):
    body = msgspec.json.encode(document)
    words = read_error(body)
    assert len(words.message) <= MAX_MESSAGE
    failure_from_response(status, body, [], "https://p/v1")


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reading(body):
    assert len(read_error(body).message) <= MAX_MESSAGE


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"error":' * 50_000, b'"' + b"\\u001b[31m" * 9 + b'"', b"\x1b]0;x\x07"]
)
def test_depth_and_terminals(body):
    assert "\x1b" not in read_error(body).message


def test_codes_are_found_in_any_case():
    assert refusals().by_code(["CONTEXT_LENGTH_EXCEEDED"]) is FailureKind.CONTEXT_LENGTH
