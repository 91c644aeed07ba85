"""Money is counted in integers of 10⁻⁹ USD, so that sums are exact, and shown in USD."""

from __future__ import annotations

from typing import Final

NANO: Final = 1_000_000_000
"""10⁻⁹ USD in one USD."""


def dollars(nano: float) -> float:
    return nano / NANO
