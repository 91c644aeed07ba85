"""`modelmesh.json-secrets.v1`: an object in a JSON file.

Owns: where in the file it is. Must never: change the rest of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from meshd.connectors.secrets.files import json_object
from meshd.connectors.secrets.local.file_store import FileStore
from meshd.sdk.secrets import SecretStoreError


class JsonStore(FileStore):
    """Settings: `file_path` (relative to `folder`); `json_path`: the keys that lead to the object, with dots."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings, settings["file_path"])
        self._keys = [key for key in str(settings.get("json_path") or "").split(".") if key]

    def _parsed(self, text: str) -> dict[str, str]:
        found: Any = self._document(text)
        for key in self._keys:
            found = found.get(key) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise SecretStoreError(f"{self.path} has no object at {'.'.join(self._keys)}")
        kept = {name: value for name, value in found.items() if isinstance(value, str | int | float)}
        return {name: str(value) for name, value in kept.items() if not isinstance(value, bool)}

    def _changed(self, text: str | None, name: str, value: str | None) -> str:
        document = self._document(text or "{}")
        place = document
        for key in self._keys:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise SecretStoreError(f"{self.path} has no object at {'.'.join(self._keys)}")
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
        try:
            return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        except ValueError:
            raise SecretStoreError(f"{self.path} has a number that JSON cannot hold: write it as a text") from None
        except RecursionError:
            raise SecretStoreError(f"{self.path} is nested too deeply to be written again") from None

    def _document(self, text: str) -> dict[str, Any]:
        document = json_object(text)
        if document is None:
            raise SecretStoreError(f"{self.path} is not a JSON object")
        return document
