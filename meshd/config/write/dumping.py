"""Writing a configuration as YAML, TOML or JSON.

Owns: the three formats, and that each reads back as the same configuration.
Must never: decide what may be shown; the caller masks.
"""

from __future__ import annotations

import json
from typing import Any


def dump(raw: dict[str, Any], format: str) -> str:
    """The text of a file. ValueError for an unknown format."""
    if format in ("yaml", "yml"):
        return dump_yaml(raw)
    if format == "json":
        return json.dumps(raw, indent=2, ensure_ascii=False, default=str) + "\n"
    if format == "toml":
        import tomli_w

        return tomli_w.dumps(_without_null(raw))
    raise ValueError(f"unknown format {format!r}: yaml, toml or json")


def dump_yaml(raw: Any) -> str:
    import yaml

    return yaml.dump(raw, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=80, default_flow_style=None)


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        # An anchor for a list that merely occurs twice would puzzle the reader.
        def ignore_aliases(self, data: Any) -> bool:
            return True

        def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> Any:
            node = super().represent_mapping(tag, mapping, flow_style)
            return _in_lines(node, [part for pair in node.value for part in pair])

        def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
            node = super().represent_sequence(tag, sequence, flow_style)
            return _in_lines(node, node.value)

    # Tuples come from code, never from a file.
    Dumper.add_representer(tuple, lambda dumper, data: dumper.represent_list(data))
    return Dumper


_SHORT = 56
"""Characters of a map or list on one line, so that it fits a terminal below its key."""


def _in_lines(node: Any, parts: list[Any]) -> Any:
    if node.flow_style and sum(len(str(part.value)) + 2 for part in parts) > _SHORT:
        node.flow_style = False
    return node


def _without_null(value: Any) -> Any:
    """TOML has no null. An empty entry becomes an empty table, other keys are left out."""
    if isinstance(value, dict):
        return {
            key: {} if item is None else _without_null(item)
            for key, item in value.items()
            if item is not None or _is_entry_map(value)
        }
    if isinstance(value, list | tuple):
        return [_without_null(item) for item in value if item is not None]
    return value


def _is_entry_map(value: dict[str, Any]) -> bool:
    # `providers: {ollama: }` is the only place where an empty value has a meaning.
    return all(item is None or isinstance(item, dict) for item in value.values())
