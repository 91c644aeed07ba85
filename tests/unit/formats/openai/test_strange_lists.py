"""Lists of models with strange entries among good ones: each costs itself and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.listed_models import LARGEST_COUNT, MOST_MODELS
from meshd.formats.errors.not_answers import Broken
from meshd.formats.openai.models import read_listing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "id",
        "name",
        "type",
        "capabilities",
        "architecture",
        "context_length",
        "top_provider",
        "meta",
        "deprecated",
        "supported_parameters",
        "max_output_tokens",
        "active",
        "max_model_len",
    ]
)
ENTRY = st.dictionaries(FIELDS, JSON, max_size=6) | JSON
GOOD = [{"id": "org/good-one"}, {"id": "gemma:7b"}]


@given(st.lists(ENTRY, max_size=5), st.lists(ENTRY, max_size=5), st.sampled_from(["data", "models", "result", ""]))
def test_strange_entries_cost_themselves(before, after, key):
    entries = [*before, GOOD[0], *after, GOOD[1]]
    listed = read_listing(json.dumps({key: entries} if key else entries).encode())
    assert {"org/good-one", "gemma:7b"} <= {model.id for model in listed}
    for model in listed:
        assert model.id.isprintable()
        assert all(0 < count <= LARGEST_COUNT for count in (model.context_window or 1, model.max_output_tokens or 1))


@pytest.mark.parametrize("id", ["a\x1b[2Jb", "a\nb", "x" * 10_000, "", 5, None, ["a"], {"a": 1}, True])
def test_what_is_not_a_name_is_left_out(id):
    assert [model.id for model in read_listing(json.dumps({"data": [{"id": id}, *GOOD]}).encode())] == [
        "org/good-one",
        "gemma:7b",
    ]


@pytest.mark.parametrize("id", ["a/b/c", "Größe", "模型:最新", "anthropic.claude-v2:1"])
def test_what_is_an_odd_name_is_one(id):
    assert [model.id for model in read_listing(json.dumps([id]).encode())] == [id]


def test_a_list_beside_a_null_is_read():
    assert [model.id for model in read_listing(b'{"data": null, "models": [{"name": "m"}]}')] == ["m"]


def test_a_list_without_end_is_cut():
    body = json.dumps({"data": [{"id": f"m{number}"} for number in range(100_000)]}).encode()
    assert len(read_listing(body)) == MOST_MODELS


@pytest.mark.parametrize("body", [b"<html>", b'{"data": [{"id": "a"}', b'{"data": "a"}', b"5", b"", b'{"x": []}'])
def test_what_is_not_a_list_is_reported(body):
    with pytest.raises(Broken):
        read_listing(body)
