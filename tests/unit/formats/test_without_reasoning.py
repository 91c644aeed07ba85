"""Whatever a body holds, only reasoning is left out of it, and a body without any stays the same object."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.known import FORMATS
from meshd.formats.lookup import app_format
from meshd.formats.protocol import AppSide

APPS = [app_format(name).app for name, known in FORMATS.items() if known.app]
words = st.sampled_from(
    ["role", "assistant", "user", "content", "type", "thinking", "reasoning", "reasoning_content", "id", "rs_1", "text",
     "tool_result", "message", "item_reference", "edits", "clear_thinking_1", "enabled", ""]
)  # fmt: skip
nested: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(
    st.sampled_from(["messages", "input", "thinking", "context_management", "model"]),
    nested | st.lists(nested, max_size=3),
    max_size=4,
)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
@given(body=bodies)
def test_any_body_is_read(app: AppSide, body: dict[str, Any]) -> None:
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
    bare = app.without_reasoning(fields)
    assert app.without_reasoning(bare) is bare
    assert bare is fields or bare.keys() <= fields.keys()


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
@pytest.mark.parametrize("raw", [b"[", b"[\xff]", b"[" * 100_000, b'[{"content":"\\ud800"}]'])
def test_what_cannot_be_read_stays(app: AppSide, raw: bytes) -> None:
    fields = {"messages": msgspec.Raw(raw), "input": msgspec.Raw(raw)}
    assert app.without_reasoning(fields) is fields


def test_an_answer_of_thoughts_alone_is_left_out() -> None:
    said = b'[{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"}]}]'
    bare = app_format("anthropic").app.without_reasoning({"messages": msgspec.Raw(said)})
    assert bytes(bare["messages"]) == b"[]"
