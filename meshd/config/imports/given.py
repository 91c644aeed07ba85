"""Another gateway's file, and how much of it has been imported.

Owns: the record of keys that were read, so that every other key can be reported, with its line.
Must never: know a key's meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.config.read.loading import Lines
from meshd.core.text.key_path import Path


class Source:
    """One file. taken: the paths that were read; what is below them counts as well."""

    def __init__(self, raw: dict[str, Any], lines: Lines) -> None:
        self.raw = raw
        self.lines = lines
        self.taken: set[Path] = set()

    def root(self) -> Given:
        return Given(self, self.raw, ())

    def line_of(self, path: Path) -> int | None:
        return next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)

    def left(self) -> Iterator[Path]:
        """What was not taken; a map or list from which nothing was taken counts as one."""
        parents = {path[:length] for path in self.taken for length in range(len(path))}
        yield from self._left(self.raw, (), parents)

    def _left(self, value: Any, path: Path, parents: set[Path]) -> Iterator[Path]:
        if path in self.taken:
            return
        if path and path not in parents and (len(path) > 1 or not isinstance(value, dict)):
            yield path
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self._left(item, (*path, key), parents)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._left(item, (*path, index), parents)


class Given:
    """One map of the file. Reading a key takes it; a value of another type than asked for is left."""

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

    def peek(self, key: str) -> Any:
        """The value, which stays untaken."""
        return self._values.get(key)

    def any(self, key: str) -> Any:
        self.take(key)
        return self._values.get(key)

    def text(self, *keys: str) -> str | None:
        """The first of these keys that has a text."""
        for key in keys:
            value = self._values.get(key)
            if isinstance(value, str) and value:
                self.take(key)
                return value
        return None

    def number(self, *keys: str) -> float | None:
        """The first of these keys that has a number of at least 0, also as a text."""
        for key in keys:
            value = self._values.get(key)
            try:
                number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
            except ValueError:
                number = None
            if number is not None and 0 <= number < 1e15:
                self.take(key)
                return number
        return None

    def texts(self, key: str) -> list[str]:
        """The texts of a list, or the one text."""
        value = self._values.get(key)
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            return []
        self.take(key)
        return [each for each in value if each]

    def below(self, key: str) -> Given:
        """The map under a key; an empty one if there is none."""
        value = self._values.get(key)
        if value is None or value == {}:
            self.take(key)
        return Given(self._source, value, self.at(key))

    def each(self, key: str) -> list[Given]:
        """The maps of a list, or those of a map by name."""
        value = self._values.get(key)
        items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
        return [Given(self._source, item, (*self.at(key), name)) for name, item in items if isinstance(item, dict)]

    @property
    def name(self) -> str:
        """Its key in the map above."""
        return str(self.path[-1]) if self.path else ""
