"""docs/openapi.yaml says what a real daemon serves over HTTP, and with which statuses it answers."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import yaml
from hypothesis import settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.gateway.conftest import CONFIG
from tests.support.waiting import WAIT

PAGE = Path(__file__).parents[4] / "docs" / "openapi.yaml"
DOCUMENT = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
DOCUMENTED = {
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method in ("get", "post", "put", "patch", "delete")
}
PAGES = {("GET", "/"), ("GET", "/health"), ("GET", "/ready")}
MODELS = ["chat", "plain", "counting", "refusing", "echo.vectors", "nothing"]

schema = schemathesis.openapi.from_path(PAGE).exclude(path_regex="^/providers/")
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@schema.hook
def map_body(context: Any, body: Any) -> Any:
    """A random text is a model of the mesh once in a blue moon."""
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        chance = random.Random(body["model"])
        usual = "echo.vectors" if "embed" in context.operation.path else "chat"
        body["model"] = chance.choice([usual, usual, *MODELS])
    return body


def is_no_bug(context: Any, response: Any, case: Any) -> None:
    """502 and 504 are what a provider did, and documented; these are the daemon's own."""
    assert response.status_code != 500, response.text
    assert "the connector failed" not in response.text


CHECKS = [is_no_bug, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def url(module_meshd: Any) -> str:
    proxy = {"enabled": True, "port": "auto"}
    daemon = module_meshd({**CONFIG, "proxy": proxy})
    found: str = daemon.status()["http"]["addresses"][0]
    return found


def check(case: Any, url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS, timeout=WAIT)


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True)
def test_what_is_sent_gets_a_documented_answer(case: Any, url: str) -> None:
    check(case, url)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@schema.parametrize()
@settings(max_examples=1000, deadline=None)
def test_much_that_is_sent_gets_a_documented_answer(case: Any, url: str) -> None:
    check(case, url)


def served(url: str) -> set[tuple[str, str]]:
    """The methods and paths that the daemon names itself; a path that ends in "…" stands for all below it."""
    said = httpx.get(f"{url}/nothing-here").json()["error"]["message"]
    found = re.findall(r"\b([A-Z]+) (/[^ ,]*)", said)
    assert len(found) > 5, said
    return PAGES | set(found)


def is_at(path: str, place: str) -> bool:
    """Whether a documented path is a served one, or below it."""
    if place.endswith("…"):
        return path.startswith(place[:-1])
    return path == place


def test_every_path_is_documented_and_every_documented_one_is_served(url: str) -> None:
    known = served(url)
    missing = {
        f"{method} {place}"
        for method, place in known
        if not any(method == of and is_at(path, place) for of, path in DOCUMENTED)
    }
    assert not missing, f"served, and not in {PAGE.name}"
    gone = {
        f"{method} {path}"
        for method, path in DOCUMENTED
        if not any(method == of and is_at(path, place) for of, place in known)
    }
    assert not gone, f"in {PAGE.name}, and not served"
