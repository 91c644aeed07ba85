"""The form of an error's message: what happened and what to do in one sentence, then details.

Must never: be parsed by a program; errors carry their facts as fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

LONGEST_SENTENCE: Final = 120  # characters
MOST_DETAILS: Final = 10
MOST_NAMES: Final = 12
_LONGEST_NAME: Final = 40
_LONGEST_COMPARED: Final = 200
_MOST_COMPARED: Final = 1000  # names: an error must not take long
_SHORTEST_PART: Final = 3
_LIKE_A_PART: Final = 0.75
_SEPARATORS: Final = re.compile(r"[./:-]")


def told(sentence: str, *details: str) -> str:
    """The message: the sentence, and each detail once on a line of its own."""
    sentence = " ".join(sentence.split())
    if len(sentence) > LONGEST_SENTENCE:
        sentence = sentence[: LONGEST_SENTENCE - 2].rstrip(" .,;") + "…."
    kept = list(dict.fromkeys(line for line in details if line))
    lines = ["  " + " ".join(line.split()) for line in kept[:MOST_DETAILS]]
    if len(kept) > MOST_DETAILS:
        lines.append(f"  and {len(kept) - MOST_DETAILS} more")
    return "\n".join([sentence, *lines])


def counted(number: int, one: str, several: str = "") -> str:
    """`1 request`, `2,000 requests`. several: if it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def nearest(name: object, names: Iterable[object], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The names that were probably meant, the likeliest first: the given name is a part of theirs, or a misspelling of
    theirs or of a part. cutoff: how similar it has to be to a whole name."""
    from difflib import get_close_matches

    wanted = _folded(name)[:_LONGEST_COMPARED]
    known = {_folded(each): str(each) for each in islice(names, _MOST_COMPARED)}
    holding = [each for each in known if len(wanted) >= _SHORTEST_PART and wanted in each]
    found = [known[each] for each in sorted(holding, key=lambda each: (not each.startswith(wanted), len(each)))]
    if len(found) < count:
        parts: dict[str, str] = {}
        runs = ((at, len(each), part, each) for each in known for at, part in _parts(each))
        for _, _, part, whole in sorted(runs):
            parts.setdefault(part, known[whole])  # of several names: one that begins with it, and a short one
        found += [parts[each] for each in get_close_matches(wanted, parts, count, _LIKE_A_PART)]
        found += [known[each] for each in get_close_matches(wanted, known, count, cutoff)]
    return list(dict.fromkeys(found))[:count]


def likeliest(name: object, names: Iterable[object], cutoff: float = 0.6) -> str | None:
    """The nearest, if any is near."""
    return next(iter(nearest(name, names, 1, cutoff)), None)


def meant(name: str | None) -> str:
    """The end of a sentence about a name that is not known; empty if none is near."""
    return f'; did you mean "{name}"?' if name else ""


def _folded(name: object) -> str:
    return str(name).lower().replace("_", "-")


def _parts(name: str) -> Iterator[tuple[int, str]]:
    """(where it begins, part). `openai.gpt-4o`: openai, gpt, openai.gpt, gpt-4o and the whole."""
    ends = [*(mark.start() for mark in _SEPARATORS.finditer(name)), len(name)]
    for start in [0, *(end + 1 for end in ends[:-1])]:
        later = [end for end in ends if end - start >= _SHORTEST_PART]
        yield from ((start, name[start:end]) for end in {*later[:1], *later[-1:]})


def no_such(what: str, name: object, names: Iterable[object], most: int = MOST_NAMES) -> str:
    """The message that nothing of this kind has that name, with the likely one and all names."""
    known = list({str(each).lower(): str(each) for each in names}.values())
    near = nearest(name, known, most)
    first = near if len(known) > most else []
    listed = [short(each) for each in dict.fromkeys([*first, *known])]
    ends = f"; did you mean {short(near[0])}?" if near else "."
    return told(f"No {what} is called {short(repr(name))}{ends}", f"there are: {few(listed, most) or 'none'}")


def few(names: Sequence[str], most: int = 6) -> str:
    """A list within a sentence, which names the first."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def then(said: str, more: str) -> str:
    """Append a clause to a text from elsewhere, which may end with a full stop."""
    said = said.rstrip()
    if said.endswith((".", "?", "!", "…", "。", "？", "！")) and more:
        return f"{said} {more[0].upper()}{more[1:]}"
    return f"{said}; {more}" if said else more


def short(name: object) -> str:
    """A name within a sentence."""
    text = " ".join(str(name).split())
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
