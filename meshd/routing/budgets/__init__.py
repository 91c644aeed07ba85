"""Budgets, quotas and count limits: reserved before sending, settled after."""
