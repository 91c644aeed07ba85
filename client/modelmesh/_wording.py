"""How an error's message is put: what happened and what to do in one sentence, then what is known besides.

Must never: be read back by a program; errors carry their facts as fields.
"""

from __future__ import annotations

from typing import Final

LONGEST_SENTENCE: Final = 120  # characters
MOST_DETAILS: Final = 10
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


def short(name: object) -> str:
    """A name within a sentence."""
    text = " ".join(str(name).split())
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
