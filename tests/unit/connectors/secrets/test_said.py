"""What a store says when it fails: on one line, short, and without keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.connectors.secrets.said import said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("not\n signed in\n", "not signed in"),
        ("the key sk-proj-AAAAAAAAAAAAAAAA is wrong", "the key ••• is wrong"),
        ("sk-proj-\u200bAAAAAAAAAAAAAAAA", "•••"),
        ("+ echo hunter22 | login", "+ echo ••• | login"),
    ],
)
def test_keys_are_masked(text: str, shown: str) -> None:
    assert said(text, ["hunter22"]) == shown


@given(st.text())
def test_anything_is_short_and_fit_for_a_terminal(text: str) -> None:
    shown = said(text * 50)
    assert len(shown.encode()) <= 200
    assert shown.isprintable() or not any(character < " " or "\x7f" <= character <= "\x9f" for character in shown)
