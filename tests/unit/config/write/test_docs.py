"""The generated page and the JSON Schema agree with the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshd.config import MeshConfig
from meshd.config.schema.root import RootConfig
from meshd.config.schema_walk import keys_of
from meshd.config.write.docs import page
from meshd.config.write.json_schema import json_schema

ROOT = Path(__file__).parents[4]


def test_the_page_is_not_stale() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert written == page(), "stale: run python -m meshd.config.write.docs"


def test_the_pages_examples_are_valid(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "mesh.yaml").write_text(example)
        assert MeshConfig.from_file(tmp_path / "mesh.yaml", environ={}).validate() == []


def sections(model: Any) -> Iterator[Any]:
    yield model
    for key in keys_of(model).values():
        if key.below is not None:
            yield from sections(key.below)


def test_every_key_is_described() -> None:
    for section in sections(RootConfig):
        for name, info in section.model_fields.items():
            assert info.description, f"{section.__name__}.{name}"
            assert info.description.endswith("."), f"{section.__name__}.{name}"


def test_the_json_schema_knows_units_and_short_forms() -> None:
    schema = json_schema()
    json.dumps(schema)
    definitions = schema["$defs"]
    timeout = definitions["ProviderConfig"]["properties"]["timeout"]
    assert {part["type"] for part in timeout["anyOf"]} == {"string", "number"}
    assert "threads" in definitions["ProviderConfig"]["properties"]
    assert "config" in definitions["PoolConfig"]["properties"]
    assert definitions["PoolConfig"]["additionalProperties"] is False
    assert {"type": "string"} in definitions["LoggingSinks"]["anyOf"]
    assert "shown_default" not in json.dumps(schema)


def test_every_reference_of_the_json_schema_exists() -> None:
    schema = json_schema()
    wanted = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert wanted <= set(schema["$defs"])
