"""Looks for the wordings of docs/wording.toml in what people read: `python -m tests.lint.wording FILE_OR_FOLDER …`."""

from __future__ import annotations

import re
import sys
import tomllib
from bisect import bisect
from collections.abc import Iterator
from pathlib import Path

from tests.lint.texts import files, words

_LIST = Path("docs/wording.toml")


def _found(path: Path, rules: list[tuple[re.Pattern[str], str]]) -> Iterator[str]:
    read = list(words(path))
    starts, length = [], 0
    for word, _ in read:
        starts.append(length)
        length += len(word) + 1
    text = " ".join(word for word, _ in read)
    for rule, instead in rules:
        for match in rule.finditer(text):
            line = read[bisect(starts, match.start()) - 1][1]
            yield f'{path}:{line}: "{match.group()}": write {instead}'


def main(named: list[str]) -> int:
    listed = tomllib.loads(_LIST.read_text(encoding="utf-8"))["wording"]
    rules = [(re.compile(rf"\b(?:{row['avoid']})\b", re.IGNORECASE), row["write"]) for row in listed]
    found = [line for path in files(named) for line in _found(path, rules)]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
