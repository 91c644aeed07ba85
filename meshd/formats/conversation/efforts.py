"""How much an effort amounts to, for models that take a reasoning budget in tokens instead."""

from __future__ import annotations

SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.9, "max": 0.9}
"""The share of the output limit."""
