"""Another gateway's file, and how much of it has been imported.

Owns: the record of keys that were read, so that every other key can be reported, with its line and what it should hold.
Must never: know a key's meaning, or raise because of a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from meshd.config.check.references import strings
from meshd.config.read.loading import Lines
from meshd.core.text.key_path import Path

_V = TypeVar("_V")

_LARGEST = 1e12
"""Of numbers. None of those that are imported can sensibly be larger."""
_LARGEST_STATUS = 599
_EMPTY: tuple[Any, ...] = (None, "", [], {})
"""Values that say nothing, so that nothing is lost with them."""


class Source:
    """One file. taken: the paths that were read; what is below them counts as well. expected: what a key should have
    held whose value could not be used."""

    def __init__(self, raw: dict[str, Any], lines: Lines) -> None:
        self.raw = raw
        self.lines = lines
        self.taken: set[Path] = set()
        self.expected: dict[Path, str] = {}

    def root(self) -> Given:
        return Given(self, self.raw, ())

    def strings(self, path: Path = ()) -> Iterator[tuple[Path, str]]:
        """Every text at or below a path, with its path."""
        value: Any = self.raw
        for part in path:
            value = value[part]
        return strings(value, path)

    def line_of(self, path: Path) -> int | None:
        return next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)

    def left(self) -> Iterator[Path]:
        """What was not taken; a map or list from which nothing was taken counts as one."""
        parents = {path[:length] for path in self.taken for length in range(len(path))}
        yield from self._left(self.raw, (), parents)

    def _left(self, value: Any, path: Path, parents: set[Path]) -> Iterator[Path]:
        if path in self.taken or value in _EMPTY:
            return
        if path and path not in parents and (len(path) > 1 or not isinstance(value, dict) or path in self.expected):
            yield path
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self._left(item, (*path, key), parents)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._left(item, (*path, index), parents)


class Given:
    """One map of the file. Reading a key takes it; a value of another kind than asked for is left."""

    def __init__(self, source: Source, values: Any, path: Path) -> None:
        self._source = source
        self._values: dict[str, Any] = values if isinstance(values, dict) else {}
        self.path = path

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def at(self, key: str) -> Path:
        return (*self.path, key)

    def take(self, *keys: str) -> None:
        """Mark keys as taken: they are imported, or need not be."""
        self._source.taken.update(self.at(key) for key in keys if key in self._values)

    def use(self) -> None:
        """Mark the map as used, so that its remaining keys are reported one by one."""
        self._source.taken.add(self.at(""))

    def expect(self, key: str, what: str) -> None:
        """Say what an untaken key should have held."""
        if key in self._values:
            self._source.expected[self.at(key)] = what

    def peek(self, key: str) -> Any:
        """The value, which stays untaken."""
        return self._values.get(key)

    def peek_text(self, key: str) -> str:
        """The text, which stays untaken; "" if there is none."""
        value = self._values.get(key)
        if not isinstance(value, str):
            self.expect(key, "a text")
            return ""
        return value

    def any(self, key: str) -> Any:
        """A value of any kind; None if it has a number that JSON has no form for."""
        value = self._values.get(key)
        if not _is_finite(value):
            self.expect(key, "a finite number")
            return None
        self.take(key)
        return value

    def text(self, *keys: str) -> str | None:
        """The first of these keys that has a text."""
        return self._first(keys, lambda value: value if isinstance(value, str) and value else None, "a text")

    def word(self, key: str) -> str | None:
        """A text, or a number as one."""
        return self._first((key,), _word, "a text")

    def one_of(self, key: str, known: Collection[str]) -> str | None:
        """The text, if it is a known one; another is left."""
        value = self.peek_text(key)
        if value not in known:
            return None
        self.take(key)
        return value

    def flag(self, key: str) -> bool | None:
        return self._first((key,), lambda value: value if isinstance(value, bool) else None, "true or false")

    def number(self, *keys: str) -> float | None:
        """The first of these keys that has a number of at least 0, also as a text."""
        return self._first(keys, lambda value: _number(value, 0), "a number of at least 0")

    def positive(self, *keys: str) -> float | None:
        """The same without 0."""
        return self._first(keys, lambda value: _number(value, 0) or None, "a number above 0")

    def whole(self, *keys: str, least: int = 1) -> int | None:
        return self._first(keys, lambda value: _whole(value, least), f"a whole number of at least {least}")

    def texts(self, key: str) -> list[str]:
        """The texts of a list, or the one text."""
        value = self._values.get(key)
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.expect(key, "a list of texts")
            return []
        self.take(key)
        return [each for each in value if each]

    def statuses(self, key: str) -> list[int]:
        """A list of HTTP statuses."""
        value = self._values.get(key)
        found = [number for each in value if (number := _whole(each, 100))] if isinstance(value, list) else []
        if not isinstance(value, list) or len(found) < len(value) or max(found, default=0) > _LARGEST_STATUS:
            self.expect(key, "a list of HTTP statuses from 100 to 599")
            return []
        self.take(key)
        return found

    def below(self, key: str) -> Given:
        """The map under a key; an empty one if there is none."""
        value = self._values.get(key)
        if not isinstance(value, dict):
            self.expect(key, "a map")
        return Given(self._source, value, self.at(key))

    def each(self, key: str) -> list[Given]:
        """The maps of a list, or those of a map by name."""
        value = self._values.get(key)
        if not isinstance(value, list | dict):
            self.expect(key, "a list of maps")
            return []
        items = enumerate(value) if isinstance(value, list) else value.items()
        found = []
        for name, item in items:
            at = (*self.at(key), name)
            if isinstance(item, dict):
                found.append(Given(self._source, item, at))
            else:
                self._source.expected[at] = "a map"
        if not found:
            self.expect(key, "a list of maps")
        return found

    @property
    def name(self) -> str:
        """Its key in the map above."""
        return str(self.path[-1]) if self.path else ""

    def _first(self, keys: tuple[str, ...], read: Callable[[Any], _V | None], expected: str) -> _V | None:
        """What is read of the first of these keys that can be read. What is expected is said of the others."""
        for key in keys:
            found = read(self._values.get(key))
            if found is not None:
                self.take(key)
                return found
            self.expect(key, expected)
        return None


def _word(value: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number or (isinstance(value, str) and value) else None


def _number(value: Any, least: float) -> float | None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if least <= number <= _LARGEST else None


def _whole(value: Any, least: int) -> int | None:
    number = _number(value, least)
    return int(number) if number is not None and number.is_integer() else None


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
