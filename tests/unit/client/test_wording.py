"""How texts of several authors are put together, and names that are not there."""

from __future__ import annotations

import pytest

from modelmesh._wording import no_such, then


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
def test_a_clause_goes_on_unless_the_sentence_has_ended(said: str, whole: str) -> None:
    assert then(said, "tried again in 4 s") == whole


def test_a_name_that_is_not_there() -> None:
    assert no_such("app", "mial", ["mail", "shell"]) == (
        "No app is called 'mial'; did you mean mail?\n  there are: mail, shell"
    )
    assert no_such("app", "MAIL", ["mail"]).startswith("No app is called 'MAIL'; did you mean mail?")
    assert no_such("app", "x", []) == "No app is called 'x'.\n  there are: none"
    many = no_such("app", "q", [f"name{number}" for number in range(40)])
    assert many.endswith("name11 and 28 more")
    assert len(no_such("app", "y" * 5000, ["z" * 5000])) < 300
