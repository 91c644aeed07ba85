"""Finds references to files and headings that do not exist: `python -m tests.lint.references FILE_OR_FOLDER …`.

In documents it follows links; everywhere it looks for the names of files, with or without their folders, and for
folders of this tree.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.lint.texts import files, words

_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")
_PATH = re.compile(r"(?<!\]\()(?<![\w/.~$*-])(?:[a-z_][\w-]*/)*[a-z_]\w*\.(?:md|py|svg)(?![\w/])")
_IN_TREE = re.compile(r"(?<!\]\()(?<![\w/.~$*@-])(?:meshd|client|tests|docs|systemd)/[\w./-]*\w/?(?![\w*])")
_NO_FILE = re.compile(r"[A-Z]{2}|\d\.\d")  # a placeholder, or a version ("meshd/0.1.0")
_EXAMPLES = {"app.py", "digest.py", "mail.py", "manage.py"}  # programs of users
_ROOTS = (
    Path(),
    Path("meshd"),
    Path("client"),
    Path("client/modelmesh"),
    Path("tests"),
    Path("tests/integration/plugins/acme"),
)


def _headings(document: Path) -> set[str]:
    """As GitHub names them."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def _broken_links(document: Path) -> Iterator[str]:
    for number, line in enumerate(document.read_text(encoding="utf-8").split("\n"), 1):
        for target, heading in _LINK.findall(line):
            there = document.parent / target if target else document
            if not there.exists() or (heading and heading not in _headings(there)):
                yield f"{document}:{number}: no {target}{'#' + heading if heading else ''}"


def _missing_files(file: Path, names: set[str]) -> Iterator[str]:
    for word, number in words(file):
        for path in _PATH.findall(word):
            known = any((root / path).exists() for root in (*_ROOTS, file.parent)) if "/" in path else path in names
            if not known:
                yield f"{file}:{number}: no {path}"
        for path in _IN_TREE.findall(word):
            if not (_PATH.search(path) or _NO_FILE.search(path) or Path(path).exists()):
                yield f"{file}:{number}: no {path}"


def main(named: list[str]) -> int:
    found, every = [], files(named)
    names = {file.name for file in every} | _EXAMPLES
    for file in every:
        found += [*_missing_files(file, names), *(_broken_links(file) if file.suffix == ".md" else ())]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
