"""A secret store: from a name to a value, or a reason why there is none."""

import configparser
from collections.abc import Sequence
from pathlib import Path

from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError


class IniStore(SecretStore):
    def get(self, name: str) -> str:
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # keep capital letters
        try:
            parser.read_string(self._path.read_text("utf-8"))
        except (OSError, configparser.Error):
            raise SecretStoreError(f"{self._path} cannot be read as an INI file") from None
        try:
            return parser["secrets"][name]
        except KeyError:
            raise SecretMissing(f"{self._path} has no {name}") from None

    def files(self, name: str) -> Sequence[Path]:
        return [self._path]  # watched: a new value is taken up at once

    @property
    def _path(self) -> Path:
        return Path(self._settings["path"])
