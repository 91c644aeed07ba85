"""The most that a request can use of a model: what is reserved before it is sent.

Owns: the arithmetic from a request's needs to tokens and money at most.
Must never: err low. What a reservation does not cover may overrun a budget.
"""

from __future__ import annotations

from typing import NamedTuple

from meshd.routing.needs import Needs
from meshd.routing.table import ModelSpec

OUTPUT_UNKNOWN = 4096
"""Tokens, of a model that declares no limit, asked without one. Where money is at stake the request is sent with
this limit (`needs.with_output_limit`), so that it holds."""


class Estimate(NamedTuple):
    """At most: tokens in and out, and 10⁻⁹ USD."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def at_most(needs: Needs, model: ModelSpec) -> Estimate:
    """Input as counted with the model's vocabulary (else the bound that errs high), and the output limit: the
    request's, else the model's, for each choice."""
    tokens_in = needs.tokens_at_most(model.vocabulary)
    output = needs.max_output or model.max_output_tokens or model.context_window or OUTPUT_UNKNOWN
    tokens_out = output * max(needs.choices, 1)
    return Estimate(tokens_in, tokens_out, model.pricing.cost(tokens_in, tokens_out))
