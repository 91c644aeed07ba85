"""Looks for the wordings of docs/wording.toml in what a person reads: `python -m tests.lint.wording FILE_OR_FOLDER …`.

Of code it reads comments and string literals only."""

from __future__ import annotations

import io
import re
import sys
import tokenize
import tomllib
from bisect import bisect
from collections.abc import Iterator
from pathlib import Path

_LIST = Path("docs/wording.toml")
_SUFFIXES = {".py", ".md", ".svg", ".service", ".socket", ".conf", ""}


def _files(named: list[str]) -> list[Path]:
    every = [
        path for name in named for path in (sorted(Path(name).rglob("*")) if Path(name).is_dir() else [Path(name)])
    ]
    return [path for path in every if path.suffix in _SUFFIXES and path.is_file()]


def _words(path: Path) -> Iterator[tuple[str, int]]:
    """Each word of a file that is text and not code, with its line."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        pieces = [(1, source)]
    else:
        # The tokens of an f-string have names of their own from Python 3.12 on.
        text = {"COMMENT", "STRING", "FSTRING_MIDDLE"}
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        pieces = [(token.start[0], token.string) for token in tokens if tokenize.tok_name[token.type] in text]
    for first, piece in pieces:
        for line, words in enumerate(piece.split("\n"), first):
            for word in re.sub(r'^[rbfRBF]*["\']+|["\']+$|#+:?|[`*]+', " ", words).split():
                yield word, line


def _found(path: Path, rules: list[tuple[re.Pattern[str], str]]) -> Iterator[str]:
    words = list(_words(path))
    starts, length = [], 0
    for word, _ in words:
        starts.append(length)
        length += len(word) + 1
    text = " ".join(word for word, _ in words)
    for rule, instead in rules:
        for match in rule.finditer(text):
            line = words[bisect(starts, match.start()) - 1][1]
            yield f'{path}:{line}: "{match.group()}": write {instead}'


def main(named: list[str]) -> int:
    listed = tomllib.loads(_LIST.read_text(encoding="utf-8"))["wording"]
    rules = [(re.compile(rf"\b(?:{row['avoid']})\b", re.IGNORECASE), row["write"]) for row in listed]
    found = [line for path in _files(named) for line in _found(path, rules)]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
