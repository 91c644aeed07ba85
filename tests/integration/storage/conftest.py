"""Daemons of the tests here, in directories that the tests choose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemons.daemon import Daemon


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    """For `started`, which adds to it; all are closed at the end."""
    running: list[Daemon] = []
    yield running
    for each in running:
        each.close()
