"""No text from outside steers a terminal, forges a line or hides; ordinary text is unchanged."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.host.plain_text import harmless, in_json, one_line, printable, stripped
from meshd.sdk.observability import Entry

ANY = st.text(st.one_of(st.characters(), st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])), max_size=60)
ALLOWED = set(
    "\u00ad\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u200c\u200d\U000110bd\U000110cd"
)
"""Format characters that belong to scripts and emoji, and steer nothing."""


def steers(text: str) -> list[str]:
    return [
        letter
        for letter in text
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        or (
            unicodedata.category(letter) == "Cf"
            and letter not in ALLOWED
            and not "\U00013430" <= letter <= "\U0001d17a"
        )
    ]


@given(ANY)
def test_what_is_left(text: str) -> None:
    assert set(steers(harmless(text))) <= {"\n"}
    assert steers(one_line(text)) == []
    assert set(steers(stripped(text))) <= {"\n", "\t"}
    assert steers(printable(text)) == []
    assert len(printable(text * 9)) <= 64
    assert harmless(harmless(text)) == harmless(text)


@given(st.recursive(ANY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3)))
def test_json_is_the_same_document(value: object) -> None:
    for form in ({}, {"indent": 2}):
        document = in_json(json.dumps(value, ensure_ascii=False, **form))  # type: ignore[arg-type]
        assert json.loads(document) == value
        assert set(steers(document)) <= {"\n"}


@pytest.mark.parametrize("text", ["plain", "two\nlines", "naïve 東京 👩‍👩‍👧 می‌خواهم", "C:\\new", "a b  c"])
def test_ordinary_text_stays(text: str) -> None:
    assert harmless(text) == stripped(text) == text
    assert json.loads(in_json(json.dumps(text, ensure_ascii=False))) == text


@given(ANY)
def test_an_entry_is_one_line(text: str) -> None:
    assert steers(Entry("log", 0, "info", text).message) == []
