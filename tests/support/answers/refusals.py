"""One refusal, as each of the APIs writes it: `refusal(format, kind)`.

Shapes and words as documented, read on 28 November 2026: https://platform.openai.com/docs/guides/error-codes,
https://platform.claude.com/docs/en/api/errors, https://ai.google.dev/gemini-api/docs/troubleshooting,
https://docs.cohere.com/reference/errors,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from __future__ import annotations

from typing import Any

from tests.support.providers.vendors.three_apis import Refused

KINDS = ("wrong", "too long", "key", "gone", "limit", "failed", "busy")
WORDS = "temperature: must not be negative"

_OPENAI = {
    "wrong": (400, "invalid_request_error", None, WORDS),
    "too long": (400, "invalid_request_error", "context_length_exceeded",
                 "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."),
    "key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: k-te****cdef."),
    "gone": (404, "invalid_request_error", "model_not_found", "The model `m` does not exist."),
    "limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests per min."),
    "failed": (500, "server_error", None, "The server had an error while processing your request."),
    "busy": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
}  # fmt: skip
_ANTHROPIC = {
    "wrong": (400, "invalid_request_error", WORDS),
    "too long": (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    "key": (401, "authentication_error", "invalid x-api-key"),
    "gone": (404, "not_found_error", "model: m"),
    "limit": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "failed": (500, "api_error", "Internal server error"),
    "busy": (529, "overloaded_error", "Overloaded"),
}
_GEMINI = {
    "wrong": (400, "INVALID_ARGUMENT", WORDS),
    "too long": (400, "INVALID_ARGUMENT",
                 "The input token count (1300000) exceeds the maximum number of tokens allowed (1048576)."),
    "key": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "gone": (404, "NOT_FOUND", "models/m is not found for API version v1beta."),
    "limit": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan."),
    "failed": (500, "INTERNAL", "An internal error has occurred."),
    "busy": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}  # fmt: skip
_COHERE = {
    "wrong": (400, WORDS),
    "too long": (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4900."),
    "key": (401, "invalid api token"),
    "gone": (404, "model 'm' not found, make sure the correct model ID was used"),
    "limit": (429, "You are using a Trial key, which is limited to 40 API calls / minute."),
    "failed": (500, "internal server error, this has been reported to our developers."),
    "busy": (503, "service unavailable"),
}
_BEDROCK = {
    "wrong": (400, "ValidationException", WORDS),
    "too long": (400, "ValidationException", "Input is too long for requested model."),
    "key": (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    "gone": (404, "ResourceNotFoundException", "Could not resolve the foundation model from the model identifier: m"),
    "limit": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "failed": (500, "InternalServerException", "The system encountered an unexpected error."),
    "busy": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
}


def refusal(format: str, kind: str) -> Refused:
    """kind: one of KINDS."""
    headers = {"retry-after": "7"} if kind == "limit" else {}
    if format in ("openai", "responses"):
        status, type, code, message = _OPENAI[kind]
        error: dict[str, Any] = {"message": message, "type": type, "param": None, "code": code}
        return Refused(status, {"error": error}, headers)
    if format == "anthropic":
        status, type, message = _ANTHROPIC[kind]
        return Refused(status, {"type": "error", "error": {"type": type, "message": message}}, headers)
    if format == "gemini":
        return _gemini(kind)
    if format == "cohere":
        status, message = _COHERE[kind]
        return Refused(status, {"id": "0f9e6bb2", "message": message}, headers)
    status, name, message = _BEDROCK[kind]
    return Refused(status, {"message": message}, {"x-amzn-errortype": f"{name}:http://internal.amazon.com/", **headers})


def _gemini(kind: str) -> Refused:
    status, name, message = _GEMINI[kind]
    rpc = "type.googleapis.com/google.rpc."
    more = {
        "limit": [{"@type": f"{rpc}RetryInfo", "retryDelay": "7s"}],
        "key": [{"@type": f"{rpc}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}],
    }
    details = {"details": more[kind]} if kind in more else {}
    return Refused(status, {"error": {"code": status, "message": message, "status": name, **details}})
