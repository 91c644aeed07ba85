"""npm's SDKs, unmodified: `openai`, `@anthropic-ai/sdk`, and `ai` with `@ai-sdk/openai-compatible`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conformance.clients.conftest import CONFIG
from tests.conformance.install import directory, missing
from tests.support.client.doors import Door

PROGRAMS = Path(__file__).parent / "programs"
SECONDS = 60
CUT = "one two "
PERSON = {"name": "Ada", "age": 36}


@pytest.fixture
def said(daemon):
    """Run a program; what it prints."""
    if reason := missing("npm-sdks"):
        pytest.skip(reason)

    def said(name):
        done = subprocess.run(
            ["node", "--input-type=module", "-"],
            cwd=directory("npm-sdks"),
            env={"PATH": os.environ["PATH"], "MESH_URL": Door("tcp", daemon).root},
            input=(PROGRAMS / f"{name}.mjs").read_text(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return said


@pytest.fixture(autouse=True)
def cancelled(daemon, eventually):
    """The stream that a program leaves is cancelled."""
    yield
    eventually(lambda: daemon.model("endless.chat")["in_flight"] == 0)


def test_openai(said):
    found = said("openai")
    assert set(CONFIG["pools"]) <= set(found.pop("models"))
    assert found.pop("image").startswith("[scripted] what is this?")
    assert found == {
        "chat": "[scripted] hello",
        "stream": 200,
        "tools": ["Paris", "Oslo"],
        "results": "[scripted] sunny sunny",
        "runner": "[scripted] sunny in Paris sunny in Oslo",
        "schema": PERSON,
        "vectors": [8, 8],
        "response": "[scripted] hello",
        "response_events": ["response.created", "response.completed"],
        "errors": {
            "bad": ["BadRequestError 400"] * 2,
            "key": ["AuthenticationError 401"] * 2,
            "forbidden": ["PermissionDeniedError 403"] * 2,
            "nothing-like-it": ["NotFoundError 404"] * 2,
            "busy": ["RateLimitError 429"] * 2,
            "failing": ["InternalServerError 502"] * 2,
        },
        "timeout": "APIConnectionTimeoutError",
        "cut": [CUT, True],
    }


def test_anthropic(said):
    found = said("anthropic")
    assert set(CONFIG["pools"]) <= set(found.pop("models"))
    assert found.pop("image").startswith("[scripted] what is this?")
    assert found == {
        "chat": "[scripted] hello",
        "use": [True, 2],
        "stream": 200,
        "pieces": True,
        "unary": "[scripted] Paris Oslo",
        "streamed": "[scripted] Paris Oslo",
        "thinking": ["thinking", "text"],
        "errors": {
            "bad": ["BadRequestError 400 invalid_request_error"] * 2,
            "key": ["AuthenticationError 401 authentication_error"] * 2,
            "forbidden": ["PermissionDeniedError 403 permission_error"] * 2,
            "nothing-like-it": ["NotFoundError 404 not_found_error"] * 2,
            "busy": ["RateLimitError 429 rate_limit_error"] * 2,
            "failing": ["InternalServerError 502 api_error"] * 2,
        },
        "timeout": "APIConnectionTimeoutError",
        "cut": [CUT, True],
    }


def test_vercels_ai(said):
    found = said("ai")
    errors = found.pop("errors")
    assert {model: error[:3] for model, error in errors.items()} == {
        "bad": [True, 400, False],
        "key": [True, 401, False],
        "nothing-like-it": [True, 404, False],
        "busy": [True, 429, True],
        "failing": [True, 502, True],
    }
    assert "that is no good" in errors["bad"][3]
    assert found.pop("image").startswith("[scripted] what is this?")
    assert found == {
        "chat": "[scripted] hello",
        "stream": 200,
        "use": 200,
        "unary": "[scripted] sunny in Paris sunny in Oslo",
        "streamed": "[scripted] sunny in Paris sunny in Oslo",
        "schema": PERSON,
        "reasoning": "two and two",
        "vectors": [8, 8],
        "cut": [CUT, 1],
    }
