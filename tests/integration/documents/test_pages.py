"""Every page that tells its reader what to do is done as it says, command by command, in a home of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pages.blocks import missing, steps_of
from tests.support.pages.session import reading

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted([*(DOCS / "start").glob("*.md"), *(DOCS / "how-to").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_it_says_works(page: Path, short: Path) -> None:
    steps = steps_of(page)
    assert steps, "a page that tells nothing to do belongs elsewhere"
    with reading(short) as session:
        for step in steps:
            session.follow(step)


def test_what_a_page_shows_is_looked_for_in_order() -> None:
    assert missing(("up … m", "done"), "up 3 m\nall done\n") is None
    assert missing(("done", "up … m"), "up 3 m\nall done\n") == "up … m"
