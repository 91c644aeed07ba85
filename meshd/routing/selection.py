"""`select` and `require`: which models belong to a pool, by what they are.

Owns: the expression language and its evaluation, and the conditions of `require`.
Must never: reach anything of Python: no calls but the listed functions, no attributes but a model's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meshd.routing.table import ModelSpec

if TYPE_CHECKING:
    from meshd.routing.stages import Question


class SelectionError(ValueError):
    """The expression or condition is not valid; the message says what, where and what there is instead."""


class Selection:
    """A compiled expression. live: it names attributes that change while requests run (latency, failures, headroom),
    so that it is evaluated at each decision; others decide membership when the table is built."""

    text: str
    live: bool

    def score(self, model: ModelSpec, question: Question | None = None) -> float | None:
        """None: not selected. Else the higher, the more preferred; a truth is 1."""
        raise NotImplementedError


def compile_selection(text: str) -> Selection:
    """Raises SelectionError."""
    raise NotImplementedError


def unmet(require: Mapping[str, Any], model: ModelSpec) -> str | None:
    """The first condition of `require` that the model does not meet; None when it meets all.

    Keys: features.*, constraints.*, delivery.*, as `models.ID` has them, or nested maps of these. Values: a value to
    equal, or a comparison as text (">=100000"). Raises SelectionError for a condition that makes no sense.
    """
    raise NotImplementedError
