"""What a mesh inside this process and its clients know about each other."""

from __future__ import annotations

_ended: dict[str, str] = {}


def ended(address: str, why: str) -> None:
    """Tell clients that the mesh at this address has ended. No other mesh may use the address."""
    _ended[address] = why


def why_ended(address: str) -> str | None:
    """Why the mesh at this address has ended; None if it has not."""
    return _ended.get(address)


def is_embedded(address: str) -> bool:
    return address.startswith("inproc://")
