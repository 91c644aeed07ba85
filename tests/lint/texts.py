"""The text that people read: whole documents, of code the comments and string literals, of TOML the comments."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

_SUFFIXES = {".py", ".md", ".svg", ".toml", ".service", ".socket", ".conf", ""}


def files(named: list[str]) -> list[Path]:
    every = [
        path for name in named for path in (sorted(Path(name).rglob("*")) if Path(name).is_dir() else [Path(name)])
    ]
    return [path for path in every if path.suffix in _SUFFIXES and path.is_file()]


def words(path: Path) -> Iterator[tuple[str, int]]:
    """Each word of a file that is text and not code, with its line."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        pieces = [(number, line) for number, line in enumerate(source.split("\n"), 1) if line.lstrip().startswith("#")]
    elif path.suffix != ".py":
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
