"""What a body has very many of is told without making it: that would keep the interpreter from all others."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from typing import Any

import pytest

from meshd.formats.lookup import app_format
from meshd.formats.openai.body.lengths import MOST_ITEMS, check_length, check_values, parts_of_type
from meshd.operations.chat import CHAT
from modelmesh.errors import InvalidRequestError

NESTED = b"[" + b"{},[]," * 50_000 + b"0]"
BODIES = {
    "openai": [
        b'{"model":"m","messages":%s}',
        b'{"model":"m","messages":[],"tools":%s}',
        b'{"model":"m","messages":[{"role":"user","content":%s}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","x":%s}]}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","x":%s}]}]}',
        b'{"model":"m","messages":[],"metadata":%s}',
    ],
    "anthropic": [
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","source":%s}]}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":%s}]}]}',
        b'{"model":"m","system":%s,"messages":[]}',
    ],
    "responses": [
        b'{"model":"m","input":%s}',
        b'{"model":"m","input":[{"role":"user","content":%s}]}',
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_image","x":%s}]}]}',
    ],
    "gemini": [
        b'{"model":"m","contents":%s}',
        b'{"model":"m","contents":[{"parts":%s}]}',
        b'{"model":"m","contents":[{"parts":[{"inlineData":%s}]}]}',
    ],
}


@pytest.fixture(scope="module")
def first() -> None:
    """What reads long lists is made once."""
    with pytest.raises(InvalidRequestError):
        check_length("tools", b"[" + b"0," * 200_000 + b"0]")


@pytest.mark.parametrize(("format", "body"), [(name, body) for name, each in BODIES.items() for body in each])
def test_little_is_made_of_very_many_values(first: None, format: str, body: bytes) -> None:
    """All of them take twenty times the body."""
    app, sent = app_format(format).app, body % NESTED
    tracemalloc.start()
    try:
        with contextlib.suppress(InvalidRequestError):
            app.read(CHAT, sent)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(sent)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("entry", [b"{}", b'"a,b"', b'"' + b"x" * 100 + b',"', b"[1,2]"])
@pytest.mark.parametrize("beyond", [0, 1])
def test_the_most_items(entry: bytes, beyond: int) -> None:
    listed = b"[" + b",".join([entry] * (MOST_ITEMS + beyond)) + b"]"
    if not beyond:
        check_length("tools", listed)
        return
    with pytest.raises(InvalidRequestError, match="more than"):
        check_length("tools", listed)


def test_a_text_is_one_value_whatever_is_in_it() -> None:
    document = json.dumps(
        {"type": "document", "source": {"type": "text", "data": '[{"a": 1}, "\\",{["]' * 5000}}
    ).encode()
    check_values("messages[].content", document)
    with pytest.raises(InvalidRequestError, match="more than"):
        check_values("messages[].content", document[:-1] + b',"x":[' + b"0," * MOST_ITEMS + b"0]}")


def test_parts_of_a_type() -> None:
    parts: list[Any] = [{"type": "image", "a": 1}, "image", {"type": 1}, {"type": "text"}, {"a": 1}, None]
    assert list(parts_of_type(json.dumps(parts).encode(), {"image"}, "content")) == [parts[0]]
    assert not list(parts_of_type(b'"image"', {"image"}, "content"))
    assert len(list(parts_of_type(b'[{"ty\\u0070e":"im\\u0061ge"}]', {"image"}, "content"))) == 1
