"""Other gateways' files with unexpected values: whatever is in them, the result is valid, or it is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshd.config import MeshConfig
from meshd.config.imports.gateways import GATEWAYS, Imported, import_file
from meshd.config.write.dumping import dump_yaml
from meshd.core.text.key_path import Path as KeyPath
from modelmesh.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[3] / "support" / "data" / "gateways"
VARIABLES = {"HOUSE_URL": "http://a/v1", "HOUSE_ROOT": "http://a", "OPENAI_ORG": "org-1", "TEAM": "mesh",
             "AZURE_ENDPOINT": "https://acme.openai.azure.com"}  # fmt: skip
SHARE = 8
"""One in so many places gets each value, except in `make soak`, where all do."""
NO_TERMINAL = "\x1b]0;a title\x07"
NO_TEXT = "\ud800"


def deep(levels: int) -> Any:
    value: Any = "a"
    for _ in range(levels):
        value = [value]
    return value


ODD: dict[str, Any] = {
    "nothing": None,
    "true": True,
    "zero": 0,
    "number": 3,
    "fraction": 0.5,
    "negative": -5,
    "huge": 10**400,
    "infinite": float("inf"),
    "empty": "",
    "word": "a",
    "list": [],
    "map": {},
    "maps": [{}],
    "map-in-map": {"a": {"b": {}}},
    "numbers": [3, None],
    "deep": deep(30),
    "zero-byte": "a\0b",
    "terminal": NO_TERMINAL,
    "surrogate": NO_TEXT,
    "address": "https://[::1",
    "port": "http://host:99999",
    "reference": "${secrets:",
    "spaces": "  a b  ",
    "slashes": "///",
}


ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))


def example(gateway: str) -> Any:
    (path,) = EXAMPLES.glob(f"{gateway}.*")
    return yaml.safe_load(path.read_text())


def nodes(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from nodes(item, (*path, key))


def changed(content: Any, path: KeyPath, value: Any) -> Any:
    new = copy.deepcopy(content)
    inside = new
    for part in path[:-1]:
        inside = inside[part]
    inside[path[-1]] = value
    return new


def given(folder: Path, content: Any) -> Path:
    path = folder / "given.json"
    # The loader refuses JSON's Infinity; this is how it gets into a file.
    path.write_text(json.dumps(content).replace("Infinity", "1e400"))
    return path


def assert_sound(imported: Imported) -> None:
    text = dump_yaml(imported.config)
    text.encode()
    json.dumps(imported.config, allow_nan=False)
    assert MeshConfig.from_text(text, environ=VARIABLES).validate() == [], text
    for remark in imported.remarks:
        assert remark.path, remark
        assert remark.line, remark


def imported_or_refused(gateway: str, path: Path) -> Imported | None:
    try:
        return import_file(gateway, str(path))
    except ConfigurationError:
        return None


def assert_all_sound(folder: Path, gateway: str, odd: str, part: slice) -> None:
    content = example(gateway)
    for path in list(nodes(content))[part]:
        imported = imported_or_refused(gateway, given(folder, changed(content, path, ODD[odd])))
        if imported is not None:
            assert_sound(imported)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_value_of_any_kind_is_imported_told_of_or_refused(tmp_path: Path, gateway: str, odd: str) -> None:
    assert_all_sound(tmp_path, gateway, odd, slice(list(ODD).index(odd) % SHARE, None, SHARE))


@pytest.mark.soak
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_value_of_any_kind_in_any_place(tmp_path: Path, gateway: str, odd: str) -> None:
    assert_all_sound(tmp_path, gateway, odd, slice(None))


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a\n",
        b"a",
        b"\xff\xfe\xfd",
        b"model_list: \xe9",
        b"a: " + b"[" * 200 + b"]" * 200,
        b"a: " + b"[" * 100_000,
        ALIASES.encode(),
        b"a: &a [*a]",
        b"model_list: !!python/object:os.system {}",
    ],
    ids=["nothing", "list", "text", "bytes", "latin-1", "deep", "deeper", "aliases", "circle", "tag"],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, gateway: str, content: bytes) -> None:
    path = tmp_path / "given.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        import_file(gateway, str(path))
