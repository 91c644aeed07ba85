"""Spending limits, as a provider, a model, a pool or an app has them."""

from __future__ import annotations

from pydantic import Field

from meshd.config.schema.base import Fraction, Money, Section


class BudgetConfig(Section):
    daily_limit: Money | None = Field(default=None, description="USD a day.")
    monthly_limit: Money | None = Field(default=None, description="USD a month.")
    alert_threshold: Fraction = Field(default=0.8, description="Fraction of a limit at which an event is emitted.")
    enforce: bool = Field(default=True, description="Refuse before the overage.")
