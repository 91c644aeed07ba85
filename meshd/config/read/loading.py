"""Reads a configuration file: YAML, TOML or JSON, with the line of every value.

Owns: syntax. The result is plain data with lines, and problems.
Must never: know a key's meaning, or interpret anything but data (no YAML tags).
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from meshd.config.check.problems import Problem
from meshd.config.read.characters import UnreadableText, odd_character, odd_name, odd_value, plain, read_file
from meshd.core.text.key_path import Path, dotted

_ENDINGS = {".toml": "toml", ".json": "json"}
_MOST_NODES = 300_000
"""Values in one file. In YAML a few nested aliases can expand to billions."""

Lines = dict[Path, int]
_Entries = dict[str, tuple[Any, Any]]
"""The entries of a YAML map: name → (node of the key, node of the value)."""


@dataclass(slots=True)
class Loaded:
    """A file's content. fatal: the text is not in the format at all; tab: because a tab indents it. duplicates: the
    problems that are keys given twice. written: unquoted values that YAML does not read as text (`no`, `1.10`, `0660`),
    as in the file."""

    raw: dict[str, Any] = field(default_factory=dict)
    lines: Lines = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    fatal: bool = False
    tab: bool = False
    duplicates: list[Problem] = field(default_factory=list)
    written: dict[Path, str] = field(default_factory=dict)


def format_of(path: str) -> str:
    """The format, chosen by the file's ending; YAML for any other ending."""
    return _ENDINGS.get(FilePath(path).suffix.lower(), "yaml")


def is_content(path: str | os.PathLike[str]) -> bool:
    """Whether it is a configuration's text rather than a path."""
    return isinstance(path, str) and ("\n" in path or path.lstrip()[:1] == "{")


def load_file(path: str) -> Loaded:
    """Read and parse a file. Never raises: an unreadable file is a fatal problem."""
    try:
        text = read_file(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte in it
        return _fatal(path, f"cannot be read: {getattr(error, 'strerror', None) or error}", None)
    except UnreadableText as error:
        return _fatal(path, str(error), None)
    return load_text(text, format_of(path), path)


def load_text(text: str, format: str = "yaml", file: str | None = None) -> Loaded:
    """format: yaml, toml or json."""
    text = plain(text)
    if format == "toml":
        loaded = _load_toml(text, file)
    elif format == "json":
        loaded = _load_json(text, file)
    else:
        loaded = _load_yaml(text, file)
    content: Any = loaded.raw  # until it is found to be a map
    if not loaded.fatal and not isinstance(content, dict):
        loaded = _fatal(file, "expected a map of sections at the top", 1)
    return _with_hint(loaded, text) if loaded.fatal else loaded


def _with_hint(loaded: Loaded, text: str) -> Loaded:
    """An unreadable text often contains lookalike characters."""
    problem = loaded.problems[0]
    hint = None if loaded.tab else odd_character(text, problem.line)
    if hint is None:
        return loaded
    return _fatal(problem.file, f"{problem.message}; {hint}", problem.line)


def _fatal(file: str | None, message: str, line: int | None) -> Loaded:
    return Loaded(problems=[Problem("", line, message, None, file)], fatal=True)


# -- YAML (and JSON, which is nearly YAML, for its lines) ---------------------------------------------


def _load_yaml(text: str, file: str | None) -> Loaded:
    import yaml

    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = loader_class(text)
    except yaml.YAMLError as error:
        return _yaml_error(error, file, text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Loaded()
        reader = _YamlReader(loader, file)
        raw = reader.read(node, ())
    except yaml.YAMLError as error:
        return _yaml_error(error, file, text)
    except (ValueError, RecursionError) as error:
        return _fatal(file, str(error) if isinstance(error, ValueError) else "is nested too deeply", None)
    finally:
        loader.dispose()
    content = {} if raw is None else raw
    return Loaded(content, reader.lines, reader.problems, duplicates=reader.duplicates, written=reader.written)


_COLON = "a colon in the wrong place: put the value in quotes, or check the indentation"
_YAML_WORDS = {
    "mapping values are not allowed here": _COLON,
    "mapping values are not allowed in this context": _COLON,
    "could not find expected ':'": "a key without a colon after it",
    "did not find expected key": "the indentation does not fit the lines above",
    "did not find expected <block end>": "the indentation does not fit the lines above",
    "but found another document": "a second document begins here (`---`): one file holds one",
    "found undefined alias": "an alias (`*name`) with no anchor (`&name`) before it",
}
"""libyaml's messages, and their meaning for the file's author."""


def _yaml_error(error: Any, file: str | None, text: str) -> Loaded:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else None
    tab = _tab_near(text, line)
    if tab is not None:
        message = "is not valid YAML: a tab at the beginning of the line; YAML indents with spaces"
        return replace(_fatal(file, message, tab), tab=True)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    plain_words = _YAML_WORDS.get(what)
    about = plain_words or what + (f" ({context})" if context and context != what else "")
    if "cannot start any token" in what:
        about = f"{what}: put the value in quotes"
    return _fatal(file, f"is not valid YAML: {about}", line)


def _tab_near(text: str, line: int | None) -> int | None:
    """The line with a tab in its indentation, the one of the error or the one before or after it."""
    lines = text.split("\n")
    for number in (line or 0, (line or 0) - 1, (line or 0) + 1):
        if 1 <= number <= len(lines) and "\t" in re.match(r"[\s-]*", lines[number - 1])[0]:  # type: ignore[index]
            return number
    return None


_TEXT_TAGS = ("str", "timestamp", "value", "merge")
_TAG = "tag:yaml.org,2002:"


class _YamlReader:
    """Builds plain data from YAML nodes, and records each one's line and every key that is given twice."""

    def __init__(self, loader: Any, file: str | None) -> None:
        self.lines: Lines = {}
        self.problems: list[Problem] = []
        self.duplicates: list[Problem] = []
        self.written: dict[Path, str] = {}
        self._loader = loader
        self._file = file
        self._open: set[int] = set()
        self._entries_of: dict[int, _Entries] = {}
        self._count = 0

    def read(self, node: Any, path: Path) -> Any:
        self._count_one()
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

    def _count_one(self) -> None:
        self._count += 1
        if self._count > _MOST_NODES:
            raise ValueError("contains too many values (aliases of aliases?)")

    def _scalar(self, node: Any, path: Path) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == node.tag or kind == "binary":
            near = {"!env": "env", "!ENV": "env", "!secret": "secrets"}.get(node.tag)
            meant = f"; write ${{{near}:{node.value}}}" if near else ""
            self._problem(path, node, f"the YAML tag {node.tag} is not accepted here{meant}")
            return node.value
        odd = odd_value(node.value) if not node.style else None
        if odd:
            self._problem(path, node, odd)
        if kind in _TEXT_TAGS:  # a date stays text instead of becoming a point in time
            return node.value
        try:
            value = self._loader.construct_object(node)
        except ValueError:  # too large for Python, or with a tag that does not fit
            self._problem(path, node, f"is not what its YAML tag {node.tag.replace(_TAG, '!!')} says")
            return node.value
        if value is not None:
            self.written[path] = node.value
        return value

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, (key_node, value_node) in self._entries(node, path).items():
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self.read(value_node, (*path, key))
        return mapping

    def _entries(self, node: Any, path: Path) -> _Entries:
        """A map's own keys on top of those that it merges (`<<`). Done once per node, however many aliases it has."""
        known = self._entries_of.get(id(node))
        if known is not None:
            return known
        self._entries_of[id(node)] = {}  # a map that merges itself finds nothing
        own: _Entries = {}
        merged: _Entries = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged |= self._merged(value_node, path)
            elif key_node.id != "scalar":
                self._problem(path, key_node, "a key must be a name")
            else:
                # As written, not as YAML reads them: `on`, `404` and `1.5` are names here.
                key = str(key_node.value)
                self._check_key(key, key_node, own, path)
                own[key] = key_node, value_node
        entries = {key: pair for key, pair in merged.items() if key not in own} | own
        self._entries_of[id(node)] = entries
        return entries

    def _merged(self, node: Any, path: Path) -> _Entries:
        """The merged keys of `<<`. If several maps have a key, the first one counts."""
        sources = node.value if node.id == "sequence" else [node]
        merged: _Entries = {}
        for source in sources:
            if source.id != "mapping":
                self._problem(path, source, "`<<` merges a map or a list of maps")
                continue
            if id(source) in self._open:
                self._problem(path, source, "an alias that contains itself")
                continue
            for key, pair in self._entries(source, path).items():
                self._count_one()
                merged.setdefault(key, pair)
        return merged

    def _check_key(self, key: str, node: Any, own: _Entries, path: Path) -> None:
        if key in own:
            first = own[key][0].start_mark.line + 1
            self._problem((*path, key), node, f"is given twice, first on line {first}")
            self.duplicates.append(self.problems[-1])
        odd = odd_name(key) if not node.style else None
        if odd:
            self._problem((*path, key), node, f"the name has {odd}")

    def _problem(self, path: Path, node: Any, message: str) -> None:
        self.problems.append(Problem(dotted(path), node.start_mark.line + 1, message, None, self._file))


# -- JSON ---------------------------------------------------------------------------------------------

_MOST_DIGITS = 4300  # Python's own limit
_TOKEN = re.compile(
    rf"""(?P<string>"(?:\\.|[^"\\])*(?:"|\Z))|(?P<odd>-?(?:NaN|Infinity)|-?[0-9]{{{_MOST_DIGITS + 1},}})"""
    r"|(?P<opens>[\[{])|(?P<closes>[\]}])",
    re.DOTALL,
)
_NOT_IN_YAML = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\(?!u[dD][89a-fA-F])."
    r"|(?P<odd>\\u[0-9a-fA-F]{4}|[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff])",
    re.DOTALL,
)
"""Escapes, and what JSON allows in a text and YAML does not, or counts as the end of a line."""


def _load_json(text: str, file: str | None) -> Loaded:
    try:
        # JSON allows tabs and YAML does not, so JSON's own parser decides.
        raw = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return _fatal(file, f"is not valid JSON: {_json_fault(text, error)}", error.lineno)
    except RecursionError:
        return _fatal(file, "is nested too deeply", _deepest_line(text))
    except ValueError:
        what, line = _odd_value(text)
        return _fatal(file, f"is not valid JSON: {what} is not a JSON value", line)
    marked = _load_yaml(_NOT_IN_YAML.sub(_as_in_yaml, text.replace("\t", "  ")), file)
    return Loaded(raw, marked.lines, marked.duplicates)


def _as_in_yaml(found: re.Match[str]) -> str:
    if found["pair"]:
        return str(json.loads(f'"{found[0]}"'))
    return "?" if found["odd"] else found[0]


def _odd_value(text: str) -> tuple[str, int | None]:
    """(a constant that only Python has, or a number that it does not read; the line)."""
    odd = next((found for found in _TOKEN.finditer(text) if found["odd"]), None)
    name = odd[0] if odd is not None and not odd[0][-1].isdigit() else f"a number of more than {_MOST_DIGITS} digits"
    return name, _line_at(text, odd.start()) if odd is not None else None


def _deepest_line(text: str) -> int:
    depth = deepest = at = 0
    for found in _TOKEN.finditer(text):
        depth += bool(found["opens"]) - bool(found["closes"])
        if depth > deepest:
            deepest, at = depth, found.start()
    return _line_at(text, at)


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _json_fault(text: str, error: json.JSONDecodeError) -> str:
    """The parser's message, or the feature that YAML, JSON5 and editors allow and JSON does not."""
    here = text[error.pos : error.pos + 2]
    if here[:1] == "#" or here in ("//", "/*"):
        return "JSON has no comments: remove it, or name the file .yaml"
    if here[:1] in ("}", "]") and text[: error.pos].rstrip().endswith(","):
        return f"a comma before {here[:1]}: remove it"
    return error.msg


def _no_constant(name: str) -> Any:
    raise ValueError(name)


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
    """The lines of tables and keys, found in the text, since tomllib does not report them.

    Best effort: a line inside a multi-line string that looks like a key counts as one, which is harmless, because only
    existing paths are looked up.
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
