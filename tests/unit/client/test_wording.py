"""How texts of several authors are put together, and names that are not there."""

from __future__ import annotations

import pytest

from modelmesh.wording import counted, nearest, no_such, then

CONNECTORS = ["azure.openai.v1", "openai.llm.v1", "openai-compatible.v1", "groq.api.v1", "modelmesh.dotenv.v1"]


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("its key is refused", "its key is refused; tried again in 4 s"),
        ("is base_url right?", "is base_url right? Tried again in 4 s"),
        ("It broke. ", "It broke. Tried again in 4 s"),
        ("no!", "no! Tried again in 4 s"),
        ("and so on…", "and so on… Tried again in 4 s"),
        ("坏了。", "坏了。 Tried again in 4 s"),
        ("", "tried again in 4 s"),
    ],
)
def test_a_clause_continues_unless_the_sentence_has_ended(said: str, whole: str) -> None:
    assert then(said, "tried again in 4 s") == whole


def test_one_is_not_several() -> None:
    assert [counted(number, "request") for number in (0, 1, 2000)] == ["0 requests", "1 request", "2,000 requests"]
    assert [counted(number, "entry was", "entries were") for number in (1, 2)] == ["1 entry was", "2 entries were"]


def test_a_name_that_is_not_there() -> None:
    assert no_such("app", "mial", ["mail", "shell"]) == (
        "No app is called 'mial'; did you mean mail?\n  there are: mail, shell"
    )
    assert no_such("app", "MAIL", ["mail"]).startswith("No app is called 'MAIL'; did you mean mail?")
    assert no_such("app", "x", []) == "No app is called 'x'.\n  there are: none"
    many = no_such("app", "q", [f"name{number}" for number in range(40)])
    assert many.endswith("name11 and 28 more")
    assert len(no_such("app", "y" * 5000, ["z" * 5000])) < 300


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("opena", "openai.llm.v1"),
        ("openia", "openai.llm.v1"),
        ("OpenAI", "openai.llm.v1"),
        ("gorq", "groq.api.v1"),
        ("dotnev", "modelmesh.dotenv.v1"),
        ("openai.lml.v1", "openai.llm.v1"),
        ("compatible", "openai-compatible.v1"),
    ],
)
def test_a_part_of_a_name_or_a_typing_error_in_it_is_enough(name: str, meant: str) -> None:
    assert nearest(name, [f"x{number}.api.v1" for number in range(40)] + CONNECTORS)[0] == meant


@pytest.mark.parametrize("name", ["", "x", "zz", "nothing-like-it", "y" * 5000])
def test_what_is_like_nothing_suggests_nothing(name: str) -> None:
    assert nearest(name, CONNECTORS) == []


def test_of_many_the_likeliest_are_listed() -> None:
    told = no_such("connector", "opena", [f"x{number}.api.v1" for number in range(40)] + CONNECTORS)
    assert "did you mean openai.llm.v1?" in told
    assert "openai-compatible.v1" in told
    assert told.endswith("and 33 more")
