"""`python -m meshd.manual DIR`: writes `DIR/man` and completions, as below `/usr/share`."""

from __future__ import annotations

import sys
from pathlib import Path

from meshd.manual.completions import completions
from meshd.manual.pages import pages


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m meshd.manual DIR\n")
        return 64
    folder = Path(arguments[0])
    texts = {f"man/man{name[-1]}/{name}": text for name, text in pages()} | dict(completions())
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
