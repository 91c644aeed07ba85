"""Reading a configuration file: YAML, TOML or JSON, with the line on which everything stands.

Owns: syntax. What could be read comes back as plain data with lines; what could not, as problems.
Must never: know a key's meaning, or follow anything the text asks for beyond data (no YAML tags).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from meshd.config.problems import Path, Problem, dotted

FORMATS = ("yaml", "toml", "json")
_ENDINGS = {".toml": "toml", ".json": "json"}
_MOST_NODES = 300_000
"""Values in one file. A few aliases of aliases in YAML can stand for billions."""

Lines = dict[Path, int]


@dataclass(slots=True)
class Loaded:
    """A file's content. `fatal`: the text could not be read as the format at all."""

    raw: dict[str, Any] = field(default_factory=dict)
    lines: Lines = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    fatal: bool = False


def format_of(path: str) -> str:
    """The format by the file's ending; YAML unless it says otherwise."""
    return _ENDINGS.get(FilePath(path).suffix.lower(), "yaml")


def load_file(path: str) -> Loaded:
    """Read and parse a file. Never raises: an unreadable file is a fatal problem."""
    try:
        text = FilePath(path).read_text("utf-8")
    except OSError as error:
        return _fatal(path, f"cannot be read: {error.strerror or error}", None)
    except UnicodeDecodeError as error:
        return _fatal(path, f"is not UTF-8 text (byte {error.start})", None)
    return load_text(text, format_of(path), path)


def load_text(text: str, format: str = "yaml", file: str | None = None) -> Loaded:
    """Parse a text of one of FORMATS."""
    if format == "toml":
        loaded = _load_toml(text, file)
    elif format == "json":
        loaded = _load_json(text, file)
    else:
        loaded = _load_yaml(text, file)
    if not loaded.fatal and not isinstance(loaded.raw, dict):
        return _fatal(file, "expected a map of sections at the top", 1)
    return loaded


def _fatal(file: str | None, message: str, line: int | None) -> Loaded:
    return Loaded(problems=[Problem("", line, message, None, file)], fatal=True)


# -- YAML (and JSON, which is nearly YAML, for its lines) ---------------------------------------------


def _load_yaml(text: str, file: str | None) -> Loaded:
    import yaml

    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = loader_class(text)
    except yaml.YAMLError as error:
        return _yaml_error(error, file)
    try:
        node = loader.get_single_node()
        if node is None:
            return Loaded()
        reader = _YamlReader(loader, file)
        raw = reader.read(node, ())
    except yaml.YAMLError as error:
        return _yaml_error(error, file)
    except (ValueError, RecursionError) as error:
        return _fatal(file, str(error) if isinstance(error, ValueError) else "is nested too deeply", None)
    finally:
        loader.dispose()
    return Loaded({} if raw is None else raw, reader.lines, reader.problems)


def _yaml_error(error: Any, file: str | None) -> Loaded:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    message = f"is not valid YAML: {what}" + (f" ({context})" if context and context != what else "")
    return _fatal(file, message, mark.line + 1 if mark else None)


class _YamlReader:
    """Builds plain data from YAML nodes, noting each one's line and every key given twice."""

    def __init__(self, loader: Any, file: str | None) -> None:
        self.lines: Lines = {}
        self.problems: list[Problem] = []
        self._loader = loader
        self._file = file
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: Any, path: Path) -> Any:
        self._count += 1
        if self._count > _MOST_NODES:
            raise ValueError("holds too many values (aliases of aliases?)")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node.id == "scalar":
            return self._scalar(node, path)
        if id(node) in self._open:
            self._problem(path, node, "an alias that contains itself")
            return None
        self._open.add(id(node))
        try:
            if node.id == "sequence":
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: Any, path: Path) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._problem(path, node, f"the YAML tag {node.tag} is not accepted here")
            return node.value
        return self._loader.construct_object(node)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        self._find_duplicates(node, path)
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            self._loader.flatten_mapping(node)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.id != "scalar":
                self._problem(path, key_node, "a key must be a name")
                continue
            # As written, whatever YAML would make of it: `on`, `404` and `1.5` are names here.
            key = str(key_node.value)
            if key in mapping:
                self._forget((*path, key))
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self.read(value_node, (*path, key))
        return mapping

    def _find_duplicates(self, node: Any, path: Path) -> None:
        first: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if key_node.id != "scalar" or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            line = key_node.start_mark.line + 1
            if key_node.value in first:
                self._problem(
                    (*path, key_node.value), key_node, f"is given twice, first on line {first[key_node.value]}"
                )
            else:
                first[key_node.value] = line

    def _forget(self, path: Path) -> None:
        for known in [known for known in self.lines if known[: len(path)] == path]:
            del self.lines[known]

    def _problem(self, path: Path, node: Any, message: str) -> None:
        self.problems.append(Problem(dotted(path), node.start_mark.line + 1, message, None, self._file))


# -- JSON ---------------------------------------------------------------------------------------------


def _load_json(text: str, file: str | None) -> Loaded:
    try:
        # Tabs are fine in JSON and not in YAML, so that JSON's own parser has the last word on what it says.
        raw = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return _fatal(file, f"is not valid JSON: {error.msg}", error.lineno)
    except (ValueError, RecursionError) as error:
        return _fatal(file, f"is not valid JSON: {error}", None)
    marked = _load_yaml(text.replace("\t", "  "), file)
    duplicates = [problem for problem in marked.problems if "given twice" in problem.message]
    return Loaded(raw, marked.lines, duplicates)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


# -- TOML ---------------------------------------------------------------------------------------------

_TABLE = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_TOML_WHERE = re.compile(r"\s*\(at line (\d+), column \d+\)|\s*\(at end of document\)")


def _load_toml(text: str, file: str | None) -> Loaded:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _TOML_WHERE.search(str(error))
        line = int(where[1]) if where and where[1] else len(text.splitlines()) or 1
        return _fatal(file, f"is not valid TOML: {_TOML_WHERE.sub('', str(error))}", line)
    except RecursionError:
        return _fatal(file, "is nested too deeply", None)
    return Loaded(raw, _toml_lines(text), [])


def _toml_lines(text: str) -> Lines:
    """The lines of tables and keys, by looking at the text: tomllib keeps none.

    Best effort: a line inside a multi-line string that looks like a key is taken for one, and does no harm,
    because only paths that exist are ever asked for.
    """
    lines: Lines = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = _TABLE.match(line)
        if header:
            table = _toml_path(header[2])
            if header[1] == "[[":
                position = counts.get(table, 0)
                counts[table] = position + 1
                lines.setdefault(table, number)
                table = (*table, position)
            lines.setdefault(table, number)
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment:
            lines.setdefault((*table, *_toml_path(assignment[1])), number)
    return lines


def _toml_path(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(text))
