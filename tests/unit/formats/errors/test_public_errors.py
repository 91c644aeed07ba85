"""What providers answer in public: each through the classification, judged by what would be right."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshd.formats.errors.error_words import read_error
from meshd.formats.errors.response_failures import failure_from_response
from meshd.sdk.provider import FailureKind, ProviderFailure

DATA = Path(__file__).parents[3] / "support" / "data"
CASES = tomllib.loads((DATA / "public_errors.toml").read_text())["case"]


def refused(case: dict[str, Any]) -> ProviderFailure:
    headers = [(name.encode(), value.encode()) for name, value in case.get("headers", {}).items()]
    return failure_from_response(case["status"], case["body"].encode(), headers, "https://p/v1/chat/completions")


@pytest.mark.parametrize("case", CASES, ids=[f"{case['provider']}-{n}" for n, case in enumerate(CASES)])
def test_what_it_says_is_what_it_means(case: dict[str, Any]) -> None:
    failure = refused(case)
    assert failure.kind == case["kind"], failure.message
    assert list(failure.refused) == case.get("refused", [])
    if "retry_after" in case:
        assert failure.retry_after == pytest.approx(case["retry_after"])


def test_each_has_its_source_and_stands_once() -> None:
    assert all(case["source"] for case in CASES)
    said = [(case["status"], case["body"], str(case.get("headers"))) for case in CASES]
    assert len(set(said)) == len(said)


OWN_MISTAKES = (DATA / "own_mistakes.txt").read_text().splitlines()


@pytest.mark.parametrize("message", OWN_MISTAKES)
def test_a_mistake_of_the_app_is_only_its_own(message: str) -> None:
    body = msgspec.json.encode({"error": {"message": message, "type": "invalid_request_error", "param": None}})
    assert failure_from_response(400, body, [], "https://p/v1").kind is FailureKind.INVALID_REQUEST


OTHER_WORDS = [line.split(" ", 2) for line in (DATA / "other_words.txt").read_text().splitlines()]


@pytest.mark.parametrize(("status", "kind", "message"), OTHER_WORDS)
def test_what_no_row_was_written_for_is_understood(status: str, kind: str, message: str) -> None:
    body = msgspec.json.encode({"error": {"message": message}})
    assert failure_from_response(int(status), body, [], "https://p/v1").kind == kind


# As gateways and frameworks hand on what a provider said.
WRAPPED: dict[str, Callable[[str], Any]] = {
    "detail": lambda said: {"detail": said},
    "message": lambda said: {"message": said},
    "error": lambda said: {"error": said},
    "errors": lambda said: {"errors": [{"message": said}]},
    "a list": lambda said: [{"error": {"message": said}}],
    "msg": lambda said: {"code": 1, "msg": said},
    "a problem": lambda said: {"title": "Bad Request", "status": 400, "detail": said},
    "JSON in a text": lambda said: {"error": {"message": json.dumps({"error": {"message": said}})}},
    "OpenRouter": lambda said: {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": json.dumps({"error": {"message": said}})}}},  # noqa: E501
    "LiteLLM": lambda said: {"error": {"message": f"litellm.BadRequestError: OpenAIException - {said}", "code": "400"}},
}  # fmt: skip


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("status", [400, 403, 429])
def test_words_mean_the_same_in_any_wrapping(status: int, wrapped: Callable[[str], Any]) -> None:
    for case in CASES:
        said = read_error(case["body"].encode()).message
        if (status == 400 and case["status"] in (400, 422)) or status == case["status"]:
            plain = msgspec.json.encode({"error": {"message": said}})
            inside = msgspec.json.encode(wrapped(said))
            kind = failure_from_response(status, plain, [], "https://p/v1").kind
            assert failure_from_response(status, inside, [], "https://p/v1").kind is kind, said
