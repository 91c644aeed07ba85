"""The key of a pool's member: one model in one pool, in state, limits and the spend journal."""

from __future__ import annotations


def member_key(pool: str, model: str) -> str:
    return f"{pool}\0{model}"


def split_member_key(key: str) -> tuple[str, str]:
    """(pool, model)."""
    pool, _, model = key.partition("\0")
    return pool, model
