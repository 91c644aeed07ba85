"""What an answer's text cites, and where.

Owns: which text of an answer a citation belongs to, and cutting a text into pieces by what each cites.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.parts import Part, Text


class Citation(msgspec.Struct, frozen=True):
    """A web page or a document, cited by the characters of an answer's text from `start` up to `end` (exclusive): at a
    point if they are equal, by no particular part if both are 0.

    url: of a page. quote: what the source says there. id: of a file or a document, in its provider's words. document:
    the number of a document of the request, from 0.
    """

    url: str = ""
    title: str = ""
    start: int = 0
    end: int = 0
    quote: str = ""
    id: str = ""
    document: int | None = None


def by_part(parts: Iterable[Part], citations: Sequence[Citation]) -> list[tuple[Citation, ...]]:
    """What each part cites: a text gets the citations that end in it, with their places in that text. The last text
    gets those without a place."""
    told = list(parts)
    if not citations:
        return [()] * len(told)
    found: list[list[Citation]] = [[] for _ in told]
    texts: list[tuple[int, int, int]] = []  # the part's number, where its text begins and ends
    at = 0
    for n, part in enumerate(told):
        if isinstance(part, Text):
            texts.append((n, at, at + len(part.text)))
            at += len(part.text)
    if not texts:
        return [()] * len(told)
    place = 0
    for each in sorted(citations, key=lambda each: _where(each) or at):
        while place < len(texts) - 1 and texts[place][2] < min(_where(each), at):
            place += 1
        n, begin, end = texts[place if _where(each) else -1]
        start, stop = min(max(each.start, begin), end), min(max(each.end, begin), end)
        found[n].append(replace(each, start=start - begin, end=stop - begin) if _where(each) else each)
    return [tuple(each) for each in found]


def moved(cited: Citation, by: int) -> Citation:
    """The same citation, that many characters later in the text, if it has a place."""
    return replace(cited, start=cited.start + by, end=cited.end + by) if _where(cited) else cited


def _where(cited: Citation) -> int:
    """The end of the text that cites it; 0 for no particular part."""
    return max(cited.start, cited.end, 0)


def pieces(text: str, citations: Sequence[Citation]) -> list[tuple[str, tuple[Citation, ...]]]:
    """The text in pieces, each with all that it cites. Overlapping citations share one piece; those without a place
    apply to the whole text. Blanks belong to the piece before them."""
    whole = len(text)
    spans = [
        (max(each.start, 0), min(each.end, whole), each) if 0 < each.end <= whole and each.start < each.end
        else (0, whole, each)
        for each in citations
    ]  # fmt: skip
    made: list[tuple[int, int, list[Citation]]] = []
    for start, end, each in sorted(spans, key=lambda span: span[:2]):
        before = made[-1] if made else (0, 0, [])
        if start < before[1]:
            made[-1] = before[0], max(before[1], end), [*before[2], each]
            continue
        if start > before[1]:
            made.append((before[1], start, []))
        made.append((start, end, [each]))
    if (last := made[-1][1] if made else 0) < whole:
        made.append((last, whole, []))
    return _without_blanks([(text[start:end], cited) for start, end, cited in made])


def _without_blanks(made: list[tuple[str, list[Citation]]]) -> list[tuple[str, tuple[Citation, ...]]]:
    found: list[tuple[str, tuple[Citation, ...]]] = []
    for text, cited in made:
        if found and (not text.strip() or not found[-1][0].strip()):
            before = found.pop()
            found.append((before[0] + text, (*before[1], *cited)))
        else:
            found.append((text, tuple(cited)))
    return found
