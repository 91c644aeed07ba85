"""Whatever stands in a file: problems, never an exception of another kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.config import MeshConfig, Problem
from meshd.config.read.loading import load_text
from meshd.config.schema.root import RootConfig
from meshd.config.schema_walk import keys_of
from modelmesh import ConfigurationError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 1000),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["ollama", "round-robin", "modelmesh.file.v1", "${env:A}", "${secrets:B}", "5s", "ocr"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=6), st.integers(), st.sampled_from(["connector", "config", "values", "models"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


@st.composite
def sections(draw: st.DrawFn, model: Any = RootConfig, depth: int = 0) -> Any:
    """A map with keys of the schema, and anything at all where it ends."""
    keys = keys_of(model)
    chosen = draw(st.lists(st.sampled_from(sorted(keys)), unique=True, max_size=4))
    found: dict[str, Any] = {}
    for name in chosen:
        below = keys[name].below
        if below is None or depth > 3 or draw(st.booleans()):
            found[name] = draw(VALUES)
        elif keys[name].many:
            found[name] = {draw(st.sampled_from(["a", "b.c", "ollama", "x y"])): draw(sections(below, depth + 1))}
        else:
            found[name] = draw(sections(below, depth + 1))
    return found


@settings(max_examples=150, deadline=None)
@given(sections())
def test_any_structure_gives_problems_or_is_valid(raw: dict[str, Any]) -> None:
    config = MeshConfig.from_dict(raw, environ={})
    problems = config.validate()
    assert all(isinstance(problem, Problem) and problem.message for problem in problems)
    config.redacted()
    config.secret_references()
    assert config.difference(MeshConfig.from_dict(raw, environ={})) == [] or "nan" in repr(raw)
    config.merge(raw).validate()
    for view in ("providers", "models", "pools", "secrets", "storage", "observability", "discovery", "daemon"):
        try:
            getattr(config, view)
        except ConfigurationError:
            assert problems


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab:{}[]-&*!|>#?%\"' \n\t=.,<~$\\0é", max_size=60), st.sampled_from(["yaml", "toml", "json"]))
def test_any_text_is_read_or_refused(text: str, format: str) -> None:
    loaded = load_text(text, format)
    assert loaded.fatal == any(problem.path == "" for problem in loaded.problems) or not loaded.fatal
    if not loaded.fatal:
        assert isinstance(loaded.raw, dict)
        MeshConfig.from_text(text, format, environ={}).validate()


@pytest.mark.parametrize("raw", [[], "text", 5])
def test_a_configuration_is_a_map(raw: Any) -> None:
    with pytest.raises(ConfigurationError):
        MeshConfig(raw)
