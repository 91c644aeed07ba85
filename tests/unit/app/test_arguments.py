"""What is read without argparse is what argparse reads."""

from __future__ import annotations

import pytest

from meshd.app.arguments import Options, complete
from meshd.app.main import parse
from meshd.app.parser import parser_of_arguments


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--check"],
        ["--config", "a.yaml", "--socket", "/s", "--log-level", "debug", "--check"],
        ["--config=a=b", "--socket=/s"],
        ["--config", "a", "--config", "b"],
        ["--config", "-"],
        ["--config="],
        ["--conf", "a"],
        ["--log-level=error"],
        ["--config", "a b", "--check"],
    ],
)
def test_as_argparse_reads_them(given) -> None:
    assert parse(given) == Options(**vars(parser_of_arguments().parse_args(given)))


@pytest.mark.parametrize(
    "given",
    [
        ["--config"],
        ["--log-level", "loud"],
        ["more"],
        ["--check=yes"],
        ["--socket", "--check"],
        ["--", "a"],
        ["--nothing"],
    ],
)
def test_mistakes_are_told_by_argparse(given, capsys) -> None:
    with pytest.raises(SystemExit) as told:
        parse(given)
    assert told.value.code == 64
    assert capsys.readouterr().err.startswith("usage: meshd")


def test_complete_arguments_need_no_parser() -> None:
    assert complete(["--config", "a", "--check"]) == Options(config="a", check=True)
    assert complete(["--help"]) is None
