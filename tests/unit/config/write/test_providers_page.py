"""docs/providers.md: the part that is written from the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from meshd.catalogue.known import load_provider_rows
from meshd.config import MeshConfig
from meshd.config.schema.connectors.usual_settings import QuirksConfig
from meshd.config.write.providers_page import BEGIN, main, table, written

PAGE = Path(__file__).parents[4] / "docs" / "providers.md"


def test_the_page_is_current(tmp_path: Path) -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "stale: run make pages"
    copy = tmp_path / "providers.md"
    copy.write_text(page.replace(table(), "old\n"), "utf-8")
    assert main([str(copy)]) == 0
    assert copy.read_text("utf-8") == page


def test_it_has_every_provider_and_needs_its_marks() -> None:
    assert all(f"| `{row.id}`: {row.description} |" in table() for row in load_provider_rows())
    with pytest.raises(ValueError, match="has no part"):
        written("# Providers\n" + BEGIN)


def test_its_example_is_a_configuration() -> None:
    example = PAGE.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    config = MeshConfig(yaml.safe_load(example), environ={"NORTH_API_KEY": "k"})
    assert config.validate() == []
    assert set(config.raw["providers"]["north"]["quirks"]) <= set(QuirksConfig.model_fields)
