"""Secrets as people paste them: trimmed at their ends, refused by name where no header can carry them."""

from __future__ import annotations

import pytest

from meshd.connectors.secrets.resolver import SecretResolver
from meshd.core.secret_sources import SecretSources


def resolved(value: str) -> tuple[dict[str, str], dict[str, str]]:
    sources = SecretSources((("modelmesh.memory-secrets.v1", {"values": {"KEY": value}}),))
    values, missing, _ = SecretResolver(now=lambda: 1.0).resolve(["KEY"], sources)
    return values, missing


@pytest.mark.parametrize("value", ["sk-1\n", " sk-1", "sk-1\r\n", "\tsk-1 \n\n", "\u00a0sk-1"])
def test_blanks_and_line_breaks_at_the_ends_are_trimmed(value: str) -> None:
    assert resolved(value) == ({"KEY": "sk-1"}, {})


@pytest.mark.parametrize("value", ['"sk-1"', "'sk-1'", ' "sk-1"\r\n', '" sk-1 "'])
def test_quotes_around_it_are_not_part_of_it(value: str) -> None:
    assert resolved(value) == ({"KEY": "sk-1"}, {})


@pytest.mark.parametrize("value", ['"sk-1', "sk-1'", "\"sk-1'", 'sk"1', '"'])
def test_a_quote_by_itself_is_one(value: str) -> None:
    assert resolved(value) == ({"KEY": value}, {})


@pytest.mark.parametrize("value", ["sk\n1", "sk\x001", "sk\x7f1", "sk-\u201c1", "\u0441k", "sk\r\nHost: x"])
def test_what_no_header_can_carry_is_refused_by_name_and_not_shown(value: str) -> None:
    values, missing = resolved(value)
    assert not values
    assert "KEY" in missing["KEY"]
    assert value not in missing["KEY"]


@pytest.mark.parametrize("value", ["", " ", "\n", '""', "' '"])
def test_nothing_but_blanks_is_missing(value: str) -> None:
    assert "KEY" in resolved(value)[1]
