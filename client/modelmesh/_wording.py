"""How an error's message is put: what happened and what to do in one sentence, then what is known besides.

Must never: be read back by a program; errors carry their facts as fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LONGEST_SENTENCE: Final = 120  # characters
MOST_DETAILS: Final = 10
MOST_NAMES: Final = 12
_LONGEST_NAME: Final = 40


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


def no_such(what: str, name: object, names: Iterable[object], most: int = MOST_NAMES) -> str:
    """That nothing of this kind has that name: which was meant, and which there are."""
    from difflib import get_close_matches

    known = {str(each).lower(): str(each) for each in names}
    near = get_close_matches(str(name).lower(), list(known), n=1, cutoff=0.6)
    listed = [short(each) for each in list(known.values())[:most]]
    more = f" and {len(known) - most} more" if len(known) > most else ""
    ends = f"; did you mean {short(known[near[0]])}?" if near else "."
    return told(f"No {what} is called {short(repr(name))}{ends}", f"there are: {', '.join(listed) or 'none'}{more}")


def then(said: str, more: str) -> str:
    """Another clause behind a text that somebody else wrote, which may have ended its sentence."""
    said = said.rstrip()
    if said.endswith((".", "?", "!", "…", "。", "？", "！")) and more:
        return f"{said} {more[0].upper()}{more[1:]}"
    return f"{said}; {more}" if said else more


def short(name: object) -> str:
    """A name within a sentence."""
    text = " ".join(str(name).split())
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
