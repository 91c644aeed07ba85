"""A daemon with HTTP and tokens of two users, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.client.responses import ONE, PROXY, TWO, over_http


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Any:
    files = {"max_size": "1MB", "max_user_size": "3MB", "max_user_count": 40}
    return module_meshd({**CONFIG, "proxy": PROXY, "files": files, "batches": {"max_user_open": 4}})


@pytest.fixture(scope="module")
def client(daemon: Any) -> Iterator[openai.OpenAI]:
    with over_http(daemon) as made:
        yield made


@pytest.fixture(scope="module")
def one(daemon: Any) -> Iterator[openai.OpenAI]:
    with over_http(daemon, ONE) as made:
        yield made


@pytest.fixture(scope="module")
def two(daemon: Any) -> Iterator[openai.OpenAI]:
    with over_http(daemon, TWO) as made:
        yield made
