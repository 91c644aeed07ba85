"""What an answer cites: `groundingMetadata` and `citationMetadata` of a candidate, whose places count bytes of a part.

Shapes: https://ai.google.dev/gemini-api/docs/google-search, https://ai.google.dev/api/generate-content and the types of
google-genai 3.6.1, read on 28 November 2026.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.reading import Fields
from meshd.formats.gemini.conversation.content import FORMAT

KEYS = ("groundingMetadata", "citationMetadata")


def texts_of(parts: Any) -> list[str]:
    """The text of each part; "" of a thought, and of anything else."""
    listed = parts if isinstance(parts, list) else [parts]
    return [_text(part) for part in listed]


def _text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) and not part.get("thought") else None
    return text if isinstance(text, str) else ""


def citations_of(candidate: dict[str, Any], texts: Sequence[str]) -> tuple[Citation, ...]:
    """texts: of each part; in a stream, all of them as one."""
    grounding, cited = candidate.get(KEYS[0]), candidate.get(KEYS[1])
    found: list[tuple[int, Citation]] = []
    if isinstance(grounding, dict):
        found += _supported(grounding)
    if isinstance(cited, dict):
        listed = _list(cited.get("citationSources") or cited.get("citations"))
        found += [(0, read) for each in listed if (read := _read_source(each)) is not None]
    return tuple(_placed(found, texts)) if found else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _supported(grounding: dict[str, Any]) -> Iterable[tuple[int, Citation]]:
    """Each citation with the number of the part whose bytes it counts."""
    sources = [_read_chunk(each) for each in _list(grounding.get("groundingChunks"))]
    for support in _list(grounding.get("groundingSupports")):
        fields = Fields.of(support, "", FORMAT, strict=False)
        numbers, segment = _list(fields.left.get("groundingChunkIndices")), fields.inner("segment")
        part, start, end = (segment.whole(name) or 0 for name in ("partIndex", "startIndex", "endIndex"))
        for n in numbers:
            source = sources[n] if isinstance(n, int) and 0 <= n < len(sources) else None
            if source is not None:
                yield part, replace(source, start=start, end=end)


def _read_chunk(chunk: Any) -> Citation | None:
    """None for a chunk that names no source."""
    fields = Fields.of(chunk, "", FORMAT, strict=False)
    for kind in ("web", "maps", "retrievedContext"):
        if isinstance(fields.left.get(kind), dict):
            said = fields.inner(kind)
            uri, title = said.text("uri"), said.text("title")
            quote = said.text("text") if kind == "retrievedContext" else ""
            page = uri if uri.startswith(("https://", "http://")) else ""
            id = "" if page else uri or said.text("documentName")
            return Citation(page, title, 0, 0, quote, id) if page or id or title else None
    return None


def _read_source(source: Any) -> Citation | None:
    fields = Fields.of(source, "", FORMAT, strict=False)
    start, end = fields.whole("startIndex") or 0, fields.whole("endIndex") or 0
    url = fields.text("uri")
    return Citation(url, fields.text("title"), start, end) if url else None


def _placed(citations: Sequence[tuple[int, Citation]], texts: Sequence[str]) -> Iterable[Citation]:
    """The same with places in characters of all texts."""
    begins = list(itertools.accumulate((len(text.encode(errors="replace")) for text in texts), initial=0))
    found = []
    for part, each in citations:
        base = begins[part] if 0 <= part < len(texts) and texts[part] else 0
        found.append(replace(each, start=each.start + base, end=each.end + base))
    at = _characters("".join(texts), {place for each in found for place in (each.start, each.end)})
    return [replace(each, start=at[each.start], end=at[each.end]) for each in found]


def _characters(text: str, places: Iterable[int]) -> dict[int, int]:
    """How many characters that many bytes contain."""
    said = text.encode(errors="replace")
    made: dict[int, int] = {}
    before, count = 0, 0
    for place in sorted(places):
        cut = min(max(place, 0), len(said))
        while before < cut < len(said) and said[cut] & 0xC0 == 0x80:  # in the middle of a character
            cut -= 1
        count += len(said[before:cut].decode())
        made[place], before = count, cut
    return made


def written_grounding(citations: Sequence[Citation], texts: Sequence[str]) -> dict[str, Any]:
    """Fields of a candidate; none if it cites nothing. texts: as for `citations_of`."""
    told = [each for each in citations if each.url or each.id or each.title]
    if not told:
        return {}
    chunks: dict[tuple[str, ...], int] = {}
    supports = []
    for (start, end), cited in itertools.groupby(told, key=lambda each: (each.start, each.end)):
        numbers = [chunks.setdefault((each.url, each.title, each.quote, each.id), len(chunks)) for each in cited]
        supports.append({"segment": _segment(start, end, texts), "groundingChunkIndices": numbers})
    return {KEYS[0]: {"groundingChunks": [_chunk(*each) for each in chunks], "groundingSupports": supports}}


def _chunk(url: str, title: str, quote: str, id: str) -> dict[str, Any]:
    said = {"uri": url or id, "title": title}
    if url:
        return {"web": said}
    return {"retrievedContext": {name: value for name, value in {**said, "text": quote}.items() if value}}


def _segment(start: int, end: int, texts: Sequence[str]) -> dict[str, Any]:
    """The segment of a citation, in the part in which it ends."""
    part = 0
    while part < len(texts) - 1 and len(texts[part]) < end:
        start, end, part = max(start - len(texts[part]), 0), end - len(texts[part]), part + 1
    text = texts[part] if texts else ""
    start, end = min(max(start, 0), len(text)), min(max(end, 0), len(text))
    made: dict[str, Any] = {"partIndex": part} if part else {}
    made["startIndex"] = len(text[:start].encode(errors="replace"))
    return made | {"endIndex": len(text[:end].encode(errors="replace")), "text": text[start:end]}
