"""Waits that end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

WAIT = 20.0  # s: until something that has to happen has not


def until(condition: Callable[[], Any], seconds: float = WAIT, what: str = "") -> Any:
    """The condition's value, as soon as it is true. Fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what or getattr(condition, '__doc__', '') or condition}")
        time.sleep(0.005)
    return value
