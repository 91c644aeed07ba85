"""What providers answer in public: each through the classification, judged by what would be right."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from meshd.cdk.provider import ProviderFailure
from meshd.connectors.providers._errors import failure_from_response

CASES = tomllib.loads((Path(__file__).parent / "data" / "public_errors.toml").read_text())["case"]


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
