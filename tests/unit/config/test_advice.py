"""`x-…` at the top level is its author's own, as in compose files: a place for anchors."""

from __future__ import annotations

import json

import pytest

from meshd.config import MeshConfig
from meshd.config.write.json_schema import json_schema

YAML = """
x-slow: &slow {timeout: 5m, max_retries: 2}
x-models:
  - &small {capabilities: [chat-completion]}
x-nothing:
x-unset: ${env:NOT_SET_ANYWHERE}
providers:
  house: {<<: *slow, connector: openai-compatible.v1, base_url: http://h/v1, api_key: k}
models:
  house.m: *small
"""


def test_anchors_have_a_place() -> None:
    config = MeshConfig.from_text(YAML, environ={}).require_valid()
    assert config.providers["house"].timeout == 300
    assert config.providers["house"].max_retries == 2
    assert config.secret_paths() == {}
    changed = MeshConfig.from_text(YAML.replace("x-nothing:", "x-nothing: 5"), environ={})
    assert config.providers == changed.providers


def test_they_may_come_from_any_format_and_any_side_of_a_merge() -> None:
    other = MeshConfig.from_dict({"x-other": {"api_key": "${secrets:NEVER}"}}, environ={})
    merged = MeshConfig.from_text(YAML, environ={}).merge(other).require_valid()
    assert merged.secret_paths() == {}
    MeshConfig.from_text(json.dumps({"x-a": [1], "x-": None}), "json", environ={}).require_valid()
    MeshConfig.from_text('x-a = 1\n[x-b]\nc = "d"\n', "toml", environ={}).require_valid()


def test_what_is_shown_of_them_has_no_secret() -> None:
    shown = MeshConfig.from_dict({"x-a": {"api_key": "very-secret", "note": "n"}}, environ={}).redacted()
    assert shown["x-a"] == {"api_key": "•••", "note": "n"}


@pytest.mark.parametrize("key", ["x", "xproviders", "X-a", "provider", "x_a"])
def test_others_are_unknown(key: str) -> None:
    problems = MeshConfig.from_dict({key: {}}, environ={}).validate()
    assert [problem.message for problem in problems] == ["unknown key"]


def test_below_the_top_they_are_unknown() -> None:
    entry = {"connector": "openai-compatible.v1", "base_url": "http://h/v1", "x-a": 1}
    assert MeshConfig.from_dict({"daemon": {"x-a": 1}, "providers": {"p": entry}}, environ={}).validate()


def test_editors_take_them() -> None:
    assert json_schema()["patternProperties"].keys() == {"^x-"}
