"""docs/connectors.md shows the package that the tests of this folder install, file by file."""

from __future__ import annotations

import re
from pathlib import Path

from .environment import ACME

PAGE = (Path(__file__).parents[3] / "docs" / "connectors.md").read_text("utf-8")


def test_the_page_shows_every_file_as_it_is() -> None:
    shown = dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    files = [path for path in ACME.rglob("*") if path.suffix in (".py", ".toml", ".yaml")]
    assert shown == {str(path.relative_to(ACME)): path.read_text("utf-8") for path in files}
