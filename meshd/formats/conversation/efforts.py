"""How much a word for effort is, for models that are given a budget of tokens for reasoning instead."""

from __future__ import annotations

SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.9, "max": 0.9}
"""The share of the output limit."""
