"""What a model does that the catalogue does not have, by the models of its name that the same provider has.

Must never: deny a feature. What nothing is known of is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from meshd.catalogue.known import ModelRow

_WORDS = re.compile(r"[a-z]+|\d+")
"""Of a name: `qwen3.7-max` and `qwen4-max` are of one family."""
_PLACE = re.compile(r"[a-z]{2,6}(?:-[a-z]{2,4})?\.(?=[a-z0-9-]+\.)")
"""Where a profile of Bedrock's is asked, before the maker: `us.anthropic.claude-…`."""


def family_features(rows: Iterable[ModelRow], model: str, capabilities: Collection[str]) -> tuple[str, ...]:
    """The features that all models of its family have: those whose ids begin with the most words of this one's, and
    that answer the same. None if not even the first word is the same."""
    alike: dict[int, list[frozenset[str]]] = {}
    for row in rows:
        if row.features and not set(row.capabilities).isdisjoint(capabilities):
            alike.setdefault(_words_in_common(row.id, model), []).append(frozenset(row.features))
    most = max(alike, default=0)
    return tuple(sorted(frozenset.intersection(*alike[most]))) if most else ()


def _words_in_common(one: str, other: str) -> int:
    """At the beginning of the names; 0 if they are of different makers (`openai/gpt-5`)."""
    maker, name = _made(one)
    other_maker, other_name = _made(other)
    if maker != other_maker:
        return 0
    count = 0
    for left, right in zip(_WORDS.findall(name), _WORDS.findall(other_name), strict=False):
        if left != right:
            break
        count += 1
    return count


def _made(id: str) -> tuple[str, str]:
    """(maker, name): the end of a path (`@cf/meta/llama-…`), or of an ARN or `models/…`, which name none."""
    path, _, name = id.lower().rpartition("/")
    maker = path.rpartition("/")[2]
    if path.startswith("arn:") or maker == "models":
        maker = ""
    place = None if maker else _PLACE.match(name)
    return maker, name if place is None else name[place.end() :]
