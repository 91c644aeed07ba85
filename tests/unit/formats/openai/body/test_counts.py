"""A body of very many small things is refused before it takes the daemon seconds to read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.formats.openai.body.lengths import MOST_ITEMS
from meshd.formats.openai.body.needs import read
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk.calls.operation import OperationSpec
from modelmesh.errors import InvalidRequestError

PART = {"type": "text", "text": "x"}


@pytest.mark.parametrize("item", [{}, {"role": "user", "content": "x"}], ids=["empty", "short"])
@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize("where", ["messages", "messages[].content", "tools", "functions"])
def test_lists_have_a_greatest_length(where: str, beyond: int, item: dict[str, Any]) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x" * 40_000}]}
    listed = [item] * (MOST_ITEMS + beyond)
    if where == "messages[].content":
        body["messages"] = [{"role": "user", "content": listed}]
    else:
        body[where] = listed
    if not beyond:
        assert read(CHAT, json.dumps(body).encode()).model == "m"
        return
    with pytest.raises(InvalidRequestError, match=f"more than {MOST_ITEMS} items") as caught:
        read(CHAT, json.dumps(body).encode())
    assert caught.value.to_wire()[1]["param"] == where


def test_fields_have_a_greatest_number() -> None:
    with pytest.raises(InvalidRequestError, match="5001 fields"):
        read(CHAT, json.dumps({"model": "m", **{f"k{number}": 1 for number in range(5000)}}).encode())


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (EMBEDDINGS, {"input": list(range(50_000))}),
        (EMBEDDINGS, {"input": ["a"] * 50_000}),
        (COMPLETION, {"prompt": list(range(50_000))}),
        (CHAT, {"messages": [{"role": "user", "content": '{"[{' * 50_000}]}),
    ],
)
def test_tokens_and_texts_have_none(operation: OperationSpec, body: dict[str, Any]) -> None:
    assert read(operation, json.dumps({"model": "m", **body}).encode()).model == "m"
