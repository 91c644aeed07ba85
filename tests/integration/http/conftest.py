"""Providers of several tests: with an API of its own, for what is passed on to it, and one that answers at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.providers.credentials.keyed_provider import KeyedProvider
from tests.support.providers.own_api import OwnApi


@pytest.fixture(scope="module")
def api() -> Iterator[OwnApi]:
    made = OwnApi()
    yield made
    made.close()


@pytest.fixture(scope="module")
def keyed() -> Iterator[KeyedProvider]:
    made = KeyedProvider("key-number-one", delay=0.0)
    yield made
    made.close()
