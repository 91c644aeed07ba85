"""`require`: what a member must declare."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.routing.select.attributes import SelectionError
from meshd.routing.select.require import unmet
from tests.support.routing.routing_builders import model

SPEC = model(
    "p.m",
    features={"tool_calling": True, "vision": False},
    context_window=100_000,
    languages=("en", "de"),
    batch=True,
    streaming=False,
)


@pytest.mark.parametrize(
    "require",
    [
        {},
        {"features": {}},
        {"features.tool_calling": True, "features.vision": False, "features.reasoning": False},
        {"features": {"tool_calling": True}, "delivery": {"batch": True, "streaming": False}},
        {"features.vision": [True, False]},
        {"constraints.context_window": 100_000},
        {"constraints.context_window": 1e5},
        {"constraints.context_window": "100000"},
        {"constraints.context_window": "== 100_000"},
        {"constraints.context_window": "=100000"},
        {"constraints.context_window": ">=100000"},
        {"constraints.context_window": " > 99999.5 "},
        {"constraints.context_window": "<=100000"},
        {"constraints.context_window": "<100001"},
        {"constraints.context_window": "!=8000"},
        {"constraints": {"context_window": [8000, ">=32000"]}},
        {"constraints.supported_languages": "de"},
        {"constraints.supported_languages": ["fr", "en"]},
        {"constraints.supported_languages": "!=fr"},
    ],
)
def test_what_is_met(require: dict[str, Any]) -> None:
    assert unmet(require, SPEC) is None


@pytest.mark.parametrize(
    ("require", "reason"),
    [
        ({"features.vision": True}, "features.vision is false, and true is required"),
        ({"features": {"tool_calling": False}}, "features.tool_calling is true, and false is required"),
        (
            {"features.tool_calling": True, "delivery.streaming": True},
            "delivery.streaming is false, and true is required",
        ),
        ({"constraints.context_window": ">100000"}, "constraints.context_window is 100000, and >100000 is required"),
        ({"constraints.context_window": [1, 2]}, "constraints.context_window is 100000, and 1 or 2 is required"),
        ({"constraints.max_images": "!=3"}, "constraints.max_images is not known, and !=3 is required"),
        ({"constraints.max_images": 3}, "constraints.max_images is not known, and 3 is required"),
        ({"constraints.supported_languages": "fr"}, "constraints.supported_languages is en or de, and fr is required"),
        (
            {"constraints.supported_languages": "!=de"},
            "constraints.supported_languages is en or de, and !=de is required",
        ),
    ],
)
def test_what_is_not_met_says_why(require: dict[str, Any], reason: str) -> None:
    assert unmet(require, SPEC) == reason


def test_of_what_discovery_does_not_know_only_false_is_met() -> None:
    unknown = model("p.m", features=None)
    assert unmet({"features.vision": False}, unknown) is None
    assert unmet({"features.vision": True}, unknown) is not None
    assert unmet({"constraints.supported_languages": "en"}, unknown) == (
        "constraints.supported_languages is none, and en is required"
    )


@pytest.mark.parametrize(
    ("require", "said", "suggestion"),
    [
        ({"features.tool_caling": True}, "unknown condition", "features.tool_calling"),
        ({"context_window": 5}, "unknown condition", "constraints.context_window"),
        ({"features": {"streaming": True}}, "unknown condition", "delivery.streaming"),
        ({"features": True}, "unknown condition", "features.tool_calling"),
        ({"features.contxt_window": 5}, "unknown condition", "constraints.context_window"),
        ({"nonsense": 5}, "unknown condition", None),
        ({"features.vision": "yes"}, "expected true or false, got yes", None),
        ({"features.vision": 1}, "expected true or false, got 1", None),
        ({"features.vision": None}, "expected true or false, got nothing", None),
        ({"features.vision": []}, "expected true or false, got an empty list", None),
        ({"constraints.context_window": "large"}, "expected a number, or a comparison", None),
        ({"constraints.context_window": "=>5"}, "expected a number, or a comparison", None),
        ({"constraints.context_window": True}, "expected a number, or a comparison", None),
        ({"constraints.context_window": None}, "expected a number, or a comparison", None),
        ({"constraints.supported_languages": 5}, "expected a name", None),
        ({"constraints.supported_languages": "!="}, "expected a name", None),
    ],
)
def test_a_condition_that_makes_no_sense(require: dict[str, Any], said: str, suggestion: str | None) -> None:
    with pytest.raises(SelectionError) as caught:
        unmet(require, SPEC)
    assert said in caught.value.problem
    assert caught.value.suggestion == suggestion
