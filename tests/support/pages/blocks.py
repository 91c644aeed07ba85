"""What a page of the documentation tells its reader to do: files to write, commands to type, programs to run.

A fence with a title is a file (```yaml title="~/.config/meshd/mesh.yaml"). `console` has commands behind `$`, each with
what it prints; `sh` and `python` are run. `<!-- not run: REASON -->` before a fence leaves it out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^>]+) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_RUN = ("sh", "python", "console")


@dataclass(frozen=True)
class Step:
    """line: in the page. file: what the text is written to, or "". printed: lines that have to come, in this order."""

    line: int
    kind: str
    text: str
    file: str = ""
    printed: tuple[str, ...] = ()


def steps_of(page: Path) -> list[Step]:
    source = page.read_text(encoding="utf-8")
    found: list[Step] = []
    for fence in _FENCE.finditer(source):
        line = source.count("\n", 0, fence.start("kind")) + 1
        text = re.sub(f"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        if fence["reason"]:
            continue
        if fence["title"]:
            found.append(Step(line, fence["kind"], text, file=fence["title"]))
        elif fence["kind"] == "console":
            found += _typed(line, text)
        elif fence["kind"] in _RUN:
            found.append(Step(line, fence["kind"], text))
    return found


def _typed(line: int, text: str) -> list[Step]:
    found = []
    for typed in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = re.sub(r"\\\n", " ", typed).partition("\n")
        found.append(Step(line, "console", command, printed=tuple(filter(None, map(str.strip, printed.splitlines())))))
    return found


def missing(printed: tuple[str, ...], output: str) -> str | None:
    """The first of the lines that the output does not have behind the one before. In them, … is any text."""
    place, text = 0, " ".join(output.split())
    for line in printed:
        wanted = re.escape(" ".join(line.split())).replace("…", ".*?")
        found = re.compile(wanted).search(text, place)
        if found is None:
            return line
        place = found.end()
    return None
