"""A refusal of a provider is the same error to an app's SDK, whichever of six formats the provider words it in."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors

from tests.integration.formats.conftest import APPS, FORMATS
from tests.support.answers.refusals import KINDS, refusal
from tests.support.apps.sdks.sdk_calls import Sdks, asked
from tests.support.providers.vendors.six_apis import SixApis

EXPECTED: dict[str, tuple[str, int, str, str, str]] = {
    "wrong": ("BadRequestError", 400, "invalid_request", "invalid_request_error", "INVALID_ARGUMENT"),
    "too long": ("BadRequestError", 400, "context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT"),
    "key": ("AuthenticationError", 401, "invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
    "gone": ("NotFoundError", 404, "model_not_found", "not_found_error", "NOT_FOUND"),
    "limit": ("RateLimitError", 429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    "failed": ("InternalServerError", 502, "provider_error", "api_error", "INTERNAL"),
    "busy": ("InternalServerError", 502, "provider_error", "api_error", "INTERNAL"),
}
"""The class, the status, OpenAI's code, Anthropic's type and Google's status."""


def failed(sdks: Sdks, api: str, pool: str, *, stream: bool) -> tuple[str, int, str, str]:
    """The class, the status, the name by which a program tells it from others, and the seconds to wait."""
    try:
        asked(sdks, api, pool, stream=stream)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        body: Any = error.body
        name = body["error"]["type"] if api == "anthropic" else body["code"]
        return type(error).__name__, error.status_code, name, error.response.headers.get("retry-after", "")
    except errors.APIError as error:
        told: Any = error.details["error"].get("details", ())
        wait = next((each["retryDelay"] for each in told if "retryDelay" in each), "")
        return type(error).__name__, error.code, str(error.status), wait.removesuffix("s")
    raise AssertionError("it has an answer")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("api", APPS)
def test_an_error_is_of_one_class(api: str, kind: str, apis: SixApis, daemon: Any, sdks: Sdks) -> None:
    name, status, code, anthropics, googles = EXPECTED[kind]
    if api == "gemini":
        name, code = "ClientError" if status < 500 else "ServerError", googles
    elif api == "anthropic":
        code = anthropics
    for number, member in enumerate(FORMATS):
        apis.answer = refusal(member, kind)
        found = failed(sdks, api, f"of-{member}", stream=number % 2 == 0)
        daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"{member}.m-{member}"})
        assert found == (name, status, code, "7" if kind == "limit" else ""), member
