"""Each storage that a keeper may write to."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["modelmesh.sqlite.v1", "modelmesh.local-file.v1"])
def connector(request: pytest.FixtureRequest) -> str:
    return str(request.param)
