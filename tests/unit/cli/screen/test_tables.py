"""Tables at any width: nothing cut that has room on a line, nothing that steers a terminal; pipes get a line a row."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshd.cli.screen import cells, tables
from meshd.cli.screen import output as out
from meshd.host.plain_text import harmless, one_line

HOSTILE = "a\x1b[2J\x1b]0;owned\x07b\rc\x9b31md\x00\u202eevil\u2066\ud83c\u2028e\u200bf\x7f"
STEERING = ("Cc", "Cs", "Zl", "Zp")
WIDTHS = (40, 60, 80, 120, 200)

word = st.text("abcdefghij-./_0123456789", min_size=1, max_size=24)
wide = st.text("模型聊天日本語한국어", min_size=1, max_size=20)
hostile = st.text(HOSTILE, min_size=1, max_size=10)
name = st.one_of(word, wide, hostile, st.builds("{}/{}".format, word, wide), st.text(max_size=30))
words = st.lists(st.one_of(word, wide, hostile), max_size=12).map(" ".join)
rows = st.lists(st.tuples(name, word, st.sampled_from(["", "3", "1,204"]), words), min_size=1, max_size=6)


def steers(text: str) -> bool:
    return any(unicodedata.category(letter) in STEERING for letter in text) or bool(
        set(text) & set("\u202e\u2066\u200b")
    )


def shown(rows: list[Any], width: int | None) -> list[str]:
    clean = [[(harmless(text), "") for text in row] for row in rows]
    laid = tables.lines(["model", "state", "requests", "reason"], clean, {"requests"}, width)
    return ["".join(text for text, _ in line) for line in laid]


@given(rows, st.integers(40, 200))
def test_on_a_terminal_every_line_fits_and_every_word_is_whole(rows: list[Any], width: int) -> None:
    lines = shown(rows, width)
    assert not any(map(steers, lines))
    assert max(map(cells.width_of, lines)) <= width
    parts = [part for line in lines for part in line.split()]
    for row in rows:
        for each in " ".join(map(harmless, row)).split():
            if each.isascii() and cells.width_of(each) <= width - 4:
                assert each in parts, each


@given(rows)
def test_in_a_pipe_a_row_is_a_line_and_nothing_is_lost(rows: list[Any]) -> None:
    lines = shown(rows, None)
    assert len(lines) == len(rows) + 1
    assert not any(map(steers, lines))
    for row, line in zip(rows, lines[1:], strict=True):
        assert all(one_line(cell) in line for cell in row)


@given(st.text(), st.integers(10, 100))
@example("000\x1f\x08➕", 10)
def test_a_wrapped_text_is_the_same_text(text: str, width: int) -> None:
    clean = harmless(text)
    lines = cells.wrapped(clean, width, "  ")
    assert max(map(cells.width_of, lines)) <= max(width, 4)
    assert "".join("".join(lines).split()) == "".join(clean.split())


@pytest.mark.parametrize("width", WIDTHS)
def test_one_long_name_does_not_push_the_columns_of_the_others_below(width: int) -> None:
    rows = [["a.one", "active", "3", ""], ["b" * 70, "active", "4", ""], ["c.three", "standby", "5", ""]]
    lines = shown(rows, width)
    assert ["a.one", "active", "3"] in [line.split() for line in lines]
    assert ["c.three", "standby", "5"] in [line.split() for line in lines]


def test_json_holds_what_steers_a_terminal_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    for show in (out.print_json, out.print_json_line):
        show({"a": HOSTILE})
        text = capsys.readouterr().out
        assert not steers(
            text.replace("\u2028", "")
            .replace("\n", "")
            .replace("\u202e", "")
            .replace("\u2066", "")
            .replace("\u200b", "")
        )
        assert json.loads(text) == {"a": HOSTILE}
