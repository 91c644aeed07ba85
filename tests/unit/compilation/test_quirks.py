"""A provider's quirks: its row's, and those of the configuration."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from meshd.compilation.compile import Directories, provider_settings
from meshd.config import MeshConfig
from meshd.config.schema.connectors.usual_settings import QuirksConfig
from meshd.connectors.providers import http_provider
from meshd.connectors.registry import default_registry
from meshd.formats.openai.body.prefill import PREFILLS
from tests.support.config.compiling import HOUSE, compiled


def quirks(section: dict[str, Any]) -> dict[str, Any]:
    return dict(compiled({"providers": {"p": {"api_key": "k", **section}}}).providers["p"].quirks)


def test_quirks_of_the_configuration_replace_those_of_the_row() -> None:
    row = quirks({"connector": "mistral.api.v1"})
    own = quirks({"connector": "mistral.api.v1", "quirks": {"drop": ["seed"], "clamp": {"temperature": [0, 1]}}})
    assert own == {**row, "drop": ["seed"], "clamp": {"temperature": [0, 1]}}
    assert quirks({**HOUSE, "quirks": {"speaks": ["responses"]}}) == {"speaks": ["responses"]}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"renames": {}}, "providers.p.quirks.renames: unknown key"),
        ({"rename": ["a"]}, "providers.p.quirks.rename"),
        ({"clamp": {"temperature": 1}}, "providers.p.quirks.clamp"),
        ({"prefill": "guess"}, "providers.p.quirks.prefill"),
    ],
)
def test_a_quirk_that_means_nothing_is_a_problem(given: dict[str, Any], problem: str) -> None:
    config = MeshConfig({"providers": {"p": {**HOUSE, "quirks": given}}})
    assert problem in str(config.validate()[0])
    settings = provider_settings("p", config.providers["p"], default_registry(), Directories("/run/x", "/data/x"))
    assert settings.quirks == {}


def test_all_quirks_are_known_to_the_configuration() -> None:
    told = str(http_provider.__doc__)
    assert all(f"  {name}" in told or f" {name} " in told or f", {name}" in told for name in QuirksConfig.model_fields)
    kinds = QuirksConfig.model_fields["prefill"].annotation
    assert set(get_args(get_args(kinds)[0])) == set(PREFILLS)
