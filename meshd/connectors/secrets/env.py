"""`modelmesh.env.v1`: the daemon's environment, and files that it names.

`NAME_FILE` is the path of a file with the value of NAME, as in container images.
"""

from __future__ import annotations

import os
from pathlib import Path

from meshd.connectors.secrets.directory import warn_if_others_may_read
from meshd.connectors.secrets.files import read_value
from meshd.sdk.secrets import SecretMissing, SecretStore

FILE_SUFFIX = "_FILE"


def variable(name: str) -> str | None:
    """A variable of the environment; None also for a name that none can have."""
    try:
        return os.environ.get(name)
    except UnicodeEncodeError:
        return None


class EnvStore(SecretStore):
    """Settings: `prefix`, put before a name to get the variable's."""

    blocks = False

    def get(self, name: str) -> str:
        value = variable(self._variable(name))
        # An empty variable is how people unset one in a unit file or a compose file.
        if value:
            return value
        for path in self.files(name):
            value = read_value(path)
            warn_if_others_may_read(path)
            return value
        raise SecretMissing(f"the environment has no {self._variable(name)}")

    def list(self) -> list[str]:
        prefix = self._settings.get("prefix", "")
        return sorted(name.removeprefix(prefix) for name in os.environ if name.startswith(prefix))

    def files(self, name: str) -> tuple[Path, ...]:
        named = self._variable(name)
        path = variable(f"{named}{FILE_SUFFIX}")
        return (Path(path),) if path and not variable(named) else ()

    def _variable(self, name: str) -> str:
        return f"{self._settings.get('prefix', '')}{name}"
