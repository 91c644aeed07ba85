"""Perspective: https://developers.perspectiveapi.com/s/about-the-api-methods and
https://developers.perspectiveapi.com/s/about-the-api-attributes-and-languages (read 2026-11-28).

It takes one text a request. Its attributes become the categories of OpenAI's moderations, with their own names; a text
is flagged from a score of 0.7, which its makers recommend as the lowest threshold.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.services.seam import Ask, Asked, Malformed, Result, Service, Steps, cannot, wrong

FLAGGED = 0.7
ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")
_MOST_TEXTS = 100


class _Moderation(msgspec.Struct):
    input: Any


def moderate(asked: Asked) -> Steps:
    given = asked.read(_Moderation).input
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or len(texts) > _MOST_TEXTS:
        raise wrong("input", f"a text, or a list of at most {_MOST_TEXTS} of them, is needed")
    if not all(isinstance(each, str) for each in texts):
        raise cannot("input", "which has more than texts")
    rows = []
    for each in texts:
        body = {
            "comment": {"text": each},
            "requestedAttributes": {name: {} for name in ATTRIBUTES},
            "doNotStore": True,
        }
        told = yield Ask("POST", "v1alpha1/comments:analyze", json=body)
        rows.append(_row(told.object()))
    return Result({"id": "modr-perspective", "results": rows})


def _row(answer: dict[str, Any]) -> dict[str, Any]:
    scores = {name.lower(): _score(answer, name) for name in ATTRIBUTES}
    categories = {name: score >= FLAGGED for name, score in scores.items()}
    return {"flagged": any(categories.values()), "categories": categories, "category_scores": scores}


def _score(answer: dict[str, Any], attribute: str) -> float:
    found: Any = answer.get("attributeScores")
    for name in (attribute, "summaryScore", "value"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise Malformed(f"without a score of {attribute}")
    return float(found)


PERSPECTIVE = Service({"moderations": moderate})
