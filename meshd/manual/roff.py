"""The language of man pages.

Owns: escaping, and the few macros of man(7) that the pages use; Markdown, as far as our own documents use it, as such.
Must never: know what a page is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

_CODE = re.compile(r"`+([^`]+)`+")
_BOLD_CODE = re.compile(r"\*\*([^*]*`[^*]*)\*\*")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_EMPHASIS = re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^( *)```(\w*)$")
_ITEM = re.compile(r"^( *)(-|\d+\.) (.*)$")
_HEADING = re.compile(r"^(#{1,4}) (.*)$")


def escaped(text: str) -> str:
    """Plain text, as text: a hyphen stays the character that can be typed."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return text.replace("^", "\\(ha").replace("~", "\\(ti")


def line(text: str) -> str:
    """One line of text, which is not taken for a macro."""
    return f"\\&{text}" if text.startswith((".", "'")) else text


def heading(*words: str) -> str:
    return f".TH {' '.join(_quoted(word) for word in words)}"


def section(title: str) -> str:
    return f".SH {_quoted(title)}"


def subsection(title: str) -> str:
    return f".SS {_quoted(title)}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\e").replace('"', "\\(dq") + '"'


def entry(name: str, meaning: str) -> Iterator[str]:
    """A name in bold, and below it, indented, what it means."""
    yield ".TP"
    yield f"\\fB{escaped(name)}\\fR"
    yield line(inline(meaning))


def page(lines: Iterable[str]) -> str:
    """The text of a page; a heading needs no break below it."""
    found: list[str] = []
    for each in lines:
        if not (each in (".PP", ".br") and found[-1].startswith((".SH", ".SS"))):
            found.append(each)
    return "\n".join(found) + "\n"


def example(lines: Iterable[str]) -> Iterator[str]:
    yield from (".PP", ".RS 4", ".nf")
    yield from (line(escaped(each)) for each in lines)
    yield from (".fi", ".RE")


def inline(text: str) -> str:
    """A paragraph of Markdown on one line: code and strong text in bold, links as text with their address."""
    found: list[str] = []
    at = 0
    text = _BOLD_CODE.sub(r"\1", " ".join(text.split()))
    for code in _CODE.finditer(text):
        found += [_words(text[at : code.start()]), f"\\fB{escaped(code[1])}\\fR"]
        at = code.end()
    return "".join([*found, _words(text[at:])])


def _words(text: str) -> str:
    text = _LINK.sub(lambda link: f"{link[1]} ({link[2]})" if link[2].startswith("http") else link[1], text)
    text = escaped(text)
    return _EMPHASIS.sub(r"\\fI\1\\fR", _BOLD.sub(r"\\fB\1\\fR", text))


# -- Markdown -----------------------------------------------------------------------------------------


def from_markdown(text: str) -> Iterator[str]:
    """A document's lines; its title and its comments are left out."""
    rows = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).splitlines()
    while rows:
        row = rows.pop(0)
        if fence := _FENCE.match(row):
            yield from example(_until_fence(rows, fence[1]))
        elif found := _HEADING.match(row):
            if len(found[1]) > 1:
                yield section(found[2].upper()) if len(found[1]) == 2 else subsection(found[2].replace("`", ""))
        elif row.startswith("|"):
            yield from _table([row, *_while(rows, lambda each: each.startswith("|"))])
        elif item := _ITEM.match(row):
            yield from _item(item, rows)
        elif row.strip():
            yield from (".PP", line(inline(" ".join([row, *_while(rows, _continues)]))))


def _until_fence(rows: list[str], indent: str) -> list[str]:
    found = [each.removeprefix(indent) for each in _while(rows, lambda each: not _FENCE.match(each))]
    del rows[:1]
    return found


def _while(rows: list[str], holds: Callable[[str], object]) -> list[str]:
    found = []
    while rows and holds(rows[0]):
        found.append(rows.pop(0))
    return found


def _continues(row: str) -> bool:
    begins = row.startswith("|") or _FENCE.match(row) or _ITEM.match(row) or _HEADING.match(row)
    return bool(row.strip()) and not begins


def _item(item: re.Match[str], rows: list[str]) -> Iterator[str]:
    mark = "•" if item[2] == "-" else item[2]
    below = len(item[1]) // 2
    yield from (".RS 4",) * below
    yield f".IP {mark} 4"
    yield line(inline(" ".join([item[3], *_while(rows, _continues)])))
    yield from (".RE",) * below


def _table(rows: list[str]) -> Iterator[str]:
    """Each row as an entry. A column after the second is named, as its place does not tell what it is."""
    head, _, *body = [[cell.replace("\\|", "|") for cell in _cells(row)] for row in rows]
    for name, *others in body:
        titles = ["", *(f"{title[:1].upper()}{title[1:]}: " for title in head[2:])]
        told = [f"{title}{cell}" for title, cell in zip(titles, others, strict=False) if cell]
        yield from (".TP", line(inline(name if "`" in name else f"**{name}**")))
        yield line(inline(". ".join(each.rstrip(".") for each in told) + "."))


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))]
