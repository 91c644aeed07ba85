"""A provider with an API of its own, for the tests of what is passed on to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.providers.own_api import OwnApi


@pytest.fixture(scope="module")
def api() -> Iterator[OwnApi]:
    made = OwnApi()
    yield made
    made.close()
