"""Numbers as people read them, and tables without colour codes where no colours are shown."""

from __future__ import annotations

import pytest

from meshd.cli.screen import output as out


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0 ms"),
        (0.0012, "1.2 ms"),
        (0.0123, "12 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (60, "1 m"),
        (250, "4 m 10 s"),
        (3600, "1 h"),
        (11520, "3 h 12 m"),
        (187200, "2 d 4 h"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert out.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0, "$0"), (0.0123, "$0.0123"), (0.000001, "$0.000001"), (1.5, "$1.50"), (12345.678, "$12,345.68")],
)
def test_usd(value: float | None, text: str) -> None:
    assert out.usd(value) == text


def test_ago() -> None:
    assert out.ago(None) == ""
    assert out.ago(100, now=100.2) == "just now"
    assert out.ago(100, now=400) == "5 m ago"


@pytest.mark.parametrize(("value", "text"), [(5, "5 B"), (1500, "1.5 kB"), (93_000_000, "93.0 MB"), (2e12, "2.0 TB")])
def test_size(value: float, text: str) -> None:
    assert out.size(value) == text


def test_get_survives_what_is_missing() -> None:
    assert out.get({"a": {"b": 1}}, "a", "b") == 1
    assert out.get({"a": None}, "a", "b") is None
    assert out.get(None, "a") is None


def test_table_in_80_columns_loses_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(out, "on_terminal", lambda: True)
    name, reason = "a-provider/with-a-rather-long.model-name", "word " * 30 + "end"
    out.print_table(["model", "failures", "reason"], [[name, 3, reason]], numbers=["failures"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("word") == 30
    assert "\x1b" not in shown


def test_the_daemons_words_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    out.print_table(["a"], [["[red]x[/red] :smile:"]])
    out.say("[bold]y[/bold]")
    shown = capsys.readouterr().out
    assert "[red]x[/red] :smile:" in shown
    assert "[bold]y[/bold]" in shown


def test_a_pipe_gets_a_line_a_row_and_nothing_cut(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "a very long reason\nover two lines " + "word " * 60
    out.print_table(
        ["model", "", "n", "reason"],
        [["a" * 90, ("standby", "red"), 3, reason], ["b", ("active", "green"), 12, ""]],
        numbers=["n"],
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert " ".join(reason.split()) in lines[1]
    assert lines[2].split() == ["b", "active", "12", "-"]
    assert not set("".join(lines)) & set("─│┌█░…\x1b")


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_terminals_table_breaks_no_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(out, "on_terminal", lambda: True)
    words = ["provider", "workstation:", "ConnectionRefusedError", "while", "connecting", "to", "127.0.0.1:9000"]
    rows = [[f"workstation.qwen2.5-coder-{n}", "workstation", ("standby", "red"), 3, " ".join(words)] for n in range(3)]
    out.print_table(["model", "provider", "", "failures", "reason"], rows, numbers=["failures"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for word in [*words, "workstation.qwen2.5-coder-2", "failures", "standby"]:
        assert any(word in line for line in lines), word
