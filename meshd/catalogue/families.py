"""The features of a model that the catalogue does not have, judged by the same provider's models with similar names.

Must never: deny a feature. A model about which nothing is known is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from meshd.catalogue.known import ModelRow

_WORDS = re.compile(r"[a-z]+|\d+")
"""The words of a name: `qwen3.7-max` and `qwen4-max` belong to one family."""
_PLACE = re.compile(r"[a-z]{2,6}(?:-[a-z]{2,4})?\.(?=[a-z0-9-]+\.)")
"""The region of a Bedrock inference profile, before the maker: `us.anthropic.claude-…`."""


def family_features(rows: Iterable[ModelRow], model: str, capabilities: Collection[str]) -> tuple[str, ...]:
    """The features that all models of its family have. The family: the models whose ids begin with the most words of
    this one's, and that have a capability in common. Empty if not even the first word is the same."""
    alike: dict[int, list[frozenset[str]]] = {}
    for row in rows:
        if row.features and not set(row.capabilities).isdisjoint(capabilities):
            alike.setdefault(_words_in_common(row.id, model), []).append(frozenset(row.features))
    most = max(alike, default=0)
    return tuple(sorted(frozenset.intersection(*alike[most]))) if most else ()


def _words_in_common(one: str, other: str) -> int:
    """How many words both names begin with; 0 if they have different makers (`openai/gpt-5`)."""
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
    """(maker, name), from the end of a path (`@cf/meta/llama-…`), or of an ARN or `models/…`, which name no maker."""
    path, _, name = id.lower().rpartition("/")
    maker = path.rpartition("/")[2]
    if path.startswith("arn:") or maker == "models":
        maker = ""
    place = None if maker else _PLACE.match(name)
    return maker, name if place is None else name[place.end() :]
