"""`meshctl connectors`: the defaults of a connector's keys are shown as they are written."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config.schema.base import OpenSection
from meshd.config.write.docs import settings_of
from meshd.connectors.registry import default_registry

WITH_KEYS = sorted(
    (spec.id, spec.type)
    for spec in default_registry().list_connectors(outside=False)
    if getattr(spec.load_settings(), "model_fields", None)
)


def defaults(shown: str) -> dict[str, str]:
    """Of the connector's own keys: the first table."""
    heading, *rows = next(part for part in shown.split("\n\n") if part.startswith("key ")).splitlines()
    if "default" not in heading:
        return {row.partition(" ")[0]: "" for row in rows}
    begin, end = heading.index("default"), heading.index("meaning")
    return {row.partition(" ")[0]: row[begin:end].strip() for row in rows}


@pytest.mark.parametrize(("id", "type"), WITH_KEYS, ids=[f"{type} {id}" for id, type in WITH_KEYS])
def test_defaults_are_those_of_the_documentation(
    id: str, type: str, meshctl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    spec = default_registry().find(id, type)
    settings = spec.load_settings() if spec is not None else OpenSection
    written = {each.key: each.default.replace("`", "") for each in settings_of(settings)}
    shown = defaults(meshctl("connectors", id, "--type", type).stdout)
    assert {name: default.strip("-") for name, default in shown.items()} == {
        name: written.get(name, "") for name in shown
    }


def test_a_mode_is_octal_and_a_duration_has_a_unit(meshctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert defaults(meshctl("connectors", "modelmesh.prometheus.v1").stdout)["mode"] == "0600"
    webhook = defaults(meshctl("connectors", "modelmesh.webhook.v1").stdout)
    assert (webhook["timeout"], webhook["max_size"], webhook["url"]) == ("10s", "100MB", "required")
