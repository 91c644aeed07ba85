"""TOML, changed by tomlkit, which keeps comments and order."""

from __future__ import annotations

import tomllib
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from meshd.cli.connect.edits import CannotEdit, Edit, Item


class Toml:
    def read(self, text: str) -> Any:
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise CannotEdit(f"it is not TOML: {error}") from None

    def put(self, text: str, edit: Edit) -> str:
        try:
            document = tomlkit.parse(text)
            place: Any = document
            for part in edit.path[:-1]:
                if isinstance(part, Item) or not isinstance(place, dict):
                    raise CannotEdit("items of its lists cannot be changed")
                if not isinstance(place.get(part), dict):
                    place[part] = tomlkit.table(is_super_table=True)
                place = place[part]
            place[edit.path[-1]] = edit.value
            return tomlkit.dumps(document)
        except (TOMLKitError, RecursionError) as error:
            raise CannotEdit(f"it cannot be changed: {error}") from None

    def drop(self, text: str, path: tuple[str, ...]) -> str:
        try:
            document = tomlkit.parse(text)
            place: Any = document
            for part in path[:-1]:
                place = place.get(part) if isinstance(place, dict) else None
            if isinstance(place, dict) and path[-1] in place:
                del place[path[-1]]
            return tomlkit.dumps(document)
        except (TOMLKitError, RecursionError) as error:
            raise CannotEdit(f"it cannot be changed: {error}") from None
