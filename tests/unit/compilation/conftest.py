"""One model that the catalogue knows."""

from __future__ import annotations

import pytest

from meshd.compilation.models import known_models
from tests.support.config.compiling import ROW


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """One well-known model, "known", of every openai-compatible provider."""
    rows = {"openai-compatible.v1": (ROW,)}
    monkeypatch.setattr(known_models, "load_models", lambda connector: rows.get(connector, ()))
