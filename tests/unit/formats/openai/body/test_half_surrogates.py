"""Half a surrogate pair in a request, as JavaScript cuts it: it is JSON, and reaches the provider as it was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.formats.openai.body.needs import read
from meshd.operations.chat import CHAT
from meshd.sdk.reading import lenient
from modelmesh import InvalidRequestError
from tests.support.formats.bodies import split

HALVES = ["\\ud83c", "\\uD83C", "\\udc00", "\\ud83c\\ud83c", "\\udf0d\\ud83c", "\\ud83c x \\udf0d", "\\ud83cA"]
WHOLE = ["\\ud83c\\udf0d", "\\\\ud83c", "\\\\\\\\ud83c", "\\u00e9", "ud83c", "Elbe", "\\\\\\ud83c\\udf0d"]


@pytest.mark.parametrize("text", HALVES)
def test_halves_are_read_as_something_and_sent_as_they_came(text: str) -> None:
    body = f'{{"model":"m", "messages": [{{"role":"user","content":"a{text}b"}}],"user":"{text}"}}'.encode()
    assert len(lenient.whole(body)) == len(body)
    _, needs, fields, sent = read(CHAT, body)
    assert needs.most > len(text)
    assert bytes(sent["messages"]) == f'[{{"role":"user","content":"a{text}b"}}]'.encode()
    assert bytes(sent["user"]) == f'"{text}"'.encode()
    assert sent.keys() == fields.keys()


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_whole_is_not_touched(text: str) -> None:
    body = f'{{"model":"m","messages":[],"user":"{text}"}}'.encode()
    assert lenient.whole(body) in (body,)
    asked = read(CHAT, body)
    assert bytes(asked.sent["user"]) == bytes(asked.fields["user"]) == f'"{text}"'.encode()


TEXTS = some.text(alphabet='ab"\\\\/ü\ud83c\udf0d\n', max_size=6)
VALUES: Any = some.recursive(
    some.none() | some.booleans() | some.integers() | TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(some.dictionaries(some.sampled_from(["model", "a b", "ü", 'q"']), VALUES), some.sampled_from([None, 1]))
def test_members_are_the_values_that_were_sent(document: dict[str, Any], indent: int | None) -> None:
    body = json.dumps(document, indent=indent).encode()
    members = lenient.members(body)
    assert {name: json.loads(value) for name, value in members.items()} == json.loads(body)
    whole = lenient.whole(body)
    assert len(whole) == len(body)
    split(whole)  # msgspec reads it


@given(some.binary(max_size=60) | some.text(alphabet='{}[]",:\\ud8 1e', max_size=60).map(str.encode))
def test_no_bytes_break_it(data: bytes) -> None:
    lenient.whole(data)
    try:
        members = lenient.members(data)
    except lenient.NotJSON:
        return
    assert json.loads(data).keys() == members.keys()


BROKEN = [b'{"\\ud83c":1}', b'{"a":NaN}', b'{"a":1}x', b'{"a":1', b"[1]", b'{"a"1}', b'{"a":1,}', b""]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_not_a_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read(CHAT, body)


def test_the_last_of_two_counts_here_too() -> None:
    asked = read(CHAT, b'{"model":"m","a":"\\ud83c","a":2}')
    assert bytes(asked.sent["a"]) == bytes(asked.fields["a"]) == b"2"
