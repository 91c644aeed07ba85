"""Errors in the shapes providers send them, and the kind each one is."""

from __future__ import annotations

import socket
import ssl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.errors.error_words import read_error
from meshd.formats.errors.response_failures import failure_from_error_object, failure_from_response, is_error_list
from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.net.failures import (
    CertificateRefused,
    ConnectionLost,
    ConnectTimeout,
    Cut,
    Disconnected,
    NotConnected,
    NotHttp,
    ProxyAnswered,
    ProxyUnreachable,
)
from meshd.sdk import FailureKind as Kind
from meshd.sdk import RateLimits


def openai(message: str = "m", code: str | None = None, type: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": type, "param": None, "code": code}})


CASES = [
    (401, openai("Incorrect API key provided"), Kind.AUTHENTICATION),
    (400, b'{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***ab."}', Kind.AUTHENTICATION),  # noqa: E501
    (400, b'[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]', Kind.AUTHENTICATION),  # noqa: E501
    (403, openai("Country not supported", "unsupported_country_region_territory"), Kind.PERMISSION),
    (403, openai("Your team has run out of credits: insufficient credits"), Kind.QUOTA),
    (402, b'{"error":{"message":"Insufficient Balance"}}', Kind.QUOTA),
    (403, b'{"error":{"code":403,"message":"Daily Limit Exceeded","errors":[{"domain":"usageLimits","reason":"dailyLimitExceeded"}]}}', Kind.QUOTA),  # noqa: E501
    (403, b'{"error":{"code":403,"message":"Slow down","errors":[{"domain":"usageLimits","reason":"userRateLimitExceeded"}]}}', Kind.RATE_LIMIT),  # noqa: E501
    (422, b'{"type":"ErrorResponse","error":{"status":422,"code":"SUBSCRIPTION_TOKEN_INVALID","detail":"The token is invalid."}}', Kind.AUTHENTICATION),  # noqa: E501
    (404, openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"), Kind.MODEL_NOT_FOUND),  # noqa: E501
    (404, b'{"error":{"message":"model \'llama9\' not found","type":"not_found_error"}}', Kind.MODEL_NOT_FOUND),
    (404, b'{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}', Kind.MODEL_NOT_FOUND),  # noqa: E501
    (404, b"<html>nginx</html>", Kind.UNSUPPORTED),
    (404, b'{"detail":"Not Found"}', Kind.UNSUPPORTED),
    (400, openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded"), Kind.CONTEXT_LENGTH),  # noqa: E501
    (400, b'{"error":{"code":400,"message":"request (9031 tokens) exceeds the available context size (8192 tokens)","type":"exceed_context_size_error"}}', Kind.CONTEXT_LENGTH),  # noqa: E501
    (422, b'{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"}', Kind.CONTEXT_LENGTH),  # noqa: E501
    (413, openai("Request too large for model"), Kind.CONTEXT_LENGTH),
    (400, openai("Unsupported parameter: 'max_tokens'", "unsupported_parameter"), Kind.UNSUPPORTED),
    (400, openai("Unsupported value: 'temperature'", "unsupported_value"), Kind.UNSUPPORTED),
    (400, openai("registry.ollama.ai/library/gemma does not support tools"), Kind.UNSUPPORTED),
    (422, b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","store"]}]},"type":"invalid_request_error"}', Kind.UNSUPPORTED),  # noqa: E501
    (501, openai("This server does not support embeddings", None, "not_supported_error"), Kind.UNSUPPORTED),
    (400, b'{"object":"error","message":"Invalid model: nope","type":"invalid_model","code":"1500"}', Kind.MODEL_NOT_FOUND),  # noqa: E501
    (400, openai("'messages' is a required property", None, "invalid_request_error"), Kind.INVALID_REQUEST),
    (422, b'{"detail":[{"loc":["body","messages"],"msg":"field required"}]}', Kind.INVALID_REQUEST),
    (429, openai("Rate limit reached", "rate_limit_exceeded"), Kind.RATE_LIMIT),
    (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), Kind.QUOTA),
    (408, b"", Kind.TIMEOUT),
    (409, b"", Kind.SERVER),
    (425, b"", Kind.SERVER),
    (500, b"Internal Server Error", Kind.SERVER),
    (503, b'{"errors":[{"message":"No capacity","code":3040}]}', Kind.SERVER),
    (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Kind.SERVER),
    (302, b"", Kind.BAD_ANSWER),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), CASES)
def test_kinds(status, body, kind):
    failure = failure_from_response(status, body, [(b"Location", b"https://x/?key=s")], "https://p/v1/chat/completions")
    assert failure.kind is kind
    assert failure.status == status
    assert failure.body == body  # as it is, for the app
    assert failure.message
    assert "key=s" not in failure.message


@given(st.integers(300, 599), st.binary(max_size=200))
def test_no_body_breaks_the_classification(status, body):
    failure_from_response(status, body, [], "https://p/v1")


KEYS = st.sampled_from(["error", "message", "code", "type", "detail", "errors"])
LEAVES = st.none() | st.text() | st.integers(-(2**31), 2**31)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8))
def test_no_json_breaks_the_reading(document):
    read_error(msgspec.json.encode(document))


def test_words_in_a_field_that_is_not_known_are_shown():
    for error in ({"code": "x", "innererror": {"message": "no such thing"}}, {"code": "x", "why": "no such thing"}):
        assert "no such thing" in read_error(msgspec.json.encode({"error": error})).message
    assert read_error(b'{"error":{"code":"x","id":"a1"}}').message == ""


@pytest.mark.parametrize(
    "body",
    [
        rb'{"error":{"message":"too long: Elbe \ud83c","code":"context_length_exceeded"}}',
        b'{"error":{"message":"too long: a\tb","code":"context_length_exceeded","logprob":NaN}}',
        b'{"error":{"message":"too long: Stra\xdfe","code":"context_length_exceeded"}}',
        '{"error":{"message":"too long: ab","code":"context_length_exceeded"}}'.encode("utf-16"),
    ],
)
def test_an_error_that_quotes_half_a_pair_is_read(body):
    words = read_error(body)
    assert words.code == "context_length_exceeded"
    assert words.message.startswith("too long: ")
    assert words.message.encode()


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"message": "Provider returned error", "code": 502}, Kind.BAD_ANSWER, 502),
        ({"message": "slow down", "code": 429}, Kind.RATE_LIMIT, 429),
        ({"message": "boom", "type": "server_error"}, Kind.BAD_ANSWER, 200),
        ({"message": "too long", "code": "context_length_exceeded"}, Kind.CONTEXT_LENGTH, 200),
        ({"message": "messages missing", "type": "invalid_request_error"}, Kind.INVALID_REQUEST, 200),
        ("just text", Kind.BAD_ANSWER, 200),
    ],
)
def test_errors_inside_a_200(error, kind, status):
    failure = failure_from_error_object(msgspec.json.encode(error))
    assert (failure.kind, failure.status) == (kind, status)
    assert msgspec.json.decode(failure.body) == {"error": error}


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        ({"code": 429, "message": "slow down", "metadata": {"retry_after": 5}}, 5.0),
        ({"code": 429, "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s"}]}, 26.0),
        ({"code": 503, "message": "Overloaded, try again in 3 seconds"}, 3.0),
        ({"code": 400, "message": "try again in 3 seconds"}, None),
    ],
)
def test_an_error_inside_a_200_says_how_long_to_wait(error, waits):
    assert failure_from_error_object(msgspec.json.encode({"error": error})).retry_after == waits


@pytest.mark.parametrize(
    ("exc", "unsent"),
    [
        (NotConnected(cause=ConnectionRefusedError(111, "x")), True),
        (NotConnected(cause=FileNotFoundError(2, "x")), True),
        (NotConnected(cause=socket.gaierror(-2, "x")), True),
        (NotConnected(cause=ssl.SSLError("handshake")), True),
        (CertificateRefused(ssl.CertificateError("expired")), True),
        (ProxyUnreachable(cause=ConnectionRefusedError(111, "x")), True),
        (ProxyAnswered(403, "no"), True),
        (ConnectTimeout(), True),
        (TimeoutError(), False),
        (ConnectionResetError(104, "x"), False),
        (BrokenPipeError(32, "x"), False),
        (ConnectionLost(cause=ConnectionResetError(104, "x")), False),
        (Disconnected(), False),
        (Cut("x"), False),
        (NotHttp("no HTTP"), False),
    ],
)
def test_only_what_failed_before_it_could_be_sent_was_not_sent(exc, unsent):
    assert failure_from_exception(exc, "h:1", 5.0).unsent is unsent


def test_an_error_answer_was_sent():
    assert not failure_from_response(503, b"", [], "https://p/v1").unsent


def test_limits_come_with_a_429_in_its_headers_or_inside_its_body():
    raw = [(b"X-RateLimit-Remaining-Requests", b"0"), (b"Retry-After", b"7")]
    failure = failure_from_response(429, openai(), raw, "https://p/v1")
    assert failure.retry_after == 7.0
    assert failure.limits == RateLimits(remaining_requests=0)
    headers = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000"}
    inside = msgspec.json.encode({"error": {"message": "m", "code": 429, "metadata": {"headers": headers}}})
    assert failure_from_response(429, inside, [], "https://p/v1").limits == RateLimits(20, 0, 1000.0)
    assert failure_from_response(400, inside, [], "https://p/v1").limits is None
    for body in (
        b'{"error":{"metadata":{"headers":{"X-RateLimit-Limit":20}}}}',
        b'{"error":{"metadata":null}}',
        b"\xff",
    ):
        assert failure_from_response(429, body, [], "https://p/v1").limits is None


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (NotConnected(cause=ConnectionRefusedError(111, "x")), Kind.CONNECTION, "connection refused by h:1"),
        (NotConnected(cause=socket.gaierror(-2, "Name or service not known")), Kind.CONNECTION, "cannot be resolved"),
        (ConnectionResetError(104, "x"), Kind.CONNECTION, "connection reset by h:1"),
        (Disconnected(), Kind.CONNECTION, "closed the connection without an answer"),
        (Cut("x"), Kind.CONNECTION, "in the middle of its answer"),
        (ConnectTimeout(), Kind.CONNECTION, "no connection to h:1 in time"),
        (TimeoutError(), Kind.TIMEOUT, "within 5 s"),
        (NotConnected(cause=OSError(113, "No route to host")), Kind.CONNECTION, "No route to host"),
    ],
)
def test_exceptions_of_the_transport(exc, kind, words):
    failure = failure_from_exception(exc, "h:1", 5.0)
    assert failure.kind is kind
    assert words in failure.message


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b'[{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]', "bad_answer", "overloaded"),
        (b'[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]', "rate_limit", "quota"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "bad_answer", "Overloaded"),
        (b"the backend has gone", "bad_answer", "the backend has gone"),
    ],
)
def test_an_error_inside_an_answer_may_have_anybodys_shape(body: bytes, kind: str, message: str) -> None:
    failure = failure_from_error_object(body)
    assert (failure.kind, failure.message) == (kind, message)
    assert is_error_list(body) is body.startswith(b"[")
    assert not is_error_list(b'[{"choices":[]}]')


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", Kind.RATE_LIMIT),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", Kind.QUOTA),
        (429, "ModelNotReadyException", "Model is not ready for inference.", Kind.RATE_LIMIT),
        (403, "ExpiredTokenException", "The security token included in the request is expired", Kind.AUTHENTICATION),
        (403, "UnrecognizedClientException", "The security token is invalid.", Kind.AUTHENTICATION),
        (403, "InvalidSignatureException", "The request signature we calculated does not match", Kind.AUTHENTICATION),
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            Kind.MODEL_NOT_FOUND,
        ),
        (
            403,
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/a is not authorized to perform: bedrock:InvokeModel",
            Kind.MODEL_NOT_FOUND,
        ),
        (404, "ResourceNotFoundException", "Could not resolve the foundation model", Kind.MODEL_NOT_FOUND),
        (400, "ValidationException", "The provided model identifier is invalid.", Kind.MODEL_NOT_FOUND),
        (
            400,
            "ValidationException",
            "Invocation of model ID a.b with on-demand throughput isn\u2019t supported.",
            Kind.MODEL_NOT_FOUND,
        ),
        (400, "ValidationException", "Input is too long for requested model.", Kind.CONTEXT_LENGTH),
        (400, "ValidationException", "Malformed input request", Kind.INVALID_REQUEST),
        (408, "ModelTimeoutException", "Model has timed out in processing the request.", Kind.TIMEOUT),
        (424, "ModelErrorException", "The system encountered an unexpected error.", Kind.UNSUPPORTED),
        (400, "ServiceQuotaExceededException", "You are over the quota", Kind.QUOTA),
        (503, "ServiceUnavailableException", "Too many connections", Kind.SERVER),
    ],
)
def test_aws_names_its_errors_in_a_header(status: int, code: str, message: str, kind: Kind) -> None:
    headers = [(b"x-amzn-ErrorType", f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/".encode())]
    failure = failure_from_response(status, msgspec.json.encode({"message": message}), headers, "http://here")
    assert failure.kind is kind
    assert failure.message == message
