"""`modelmesh.env.v1`: the daemon's environment."""

from __future__ import annotations

import os

from meshd.cdk.secrets import SecretMissing, SecretStore


class EnvStore(SecretStore):
    """Settings: `prefix`, put before a name to get the variable's."""

    def get(self, name: str) -> str:
        variable = f"{self._settings.get('prefix', '')}{name}"
        value = os.environ.get(variable)
        # An empty variable is how people unset one in a unit file or a compose file.
        if not value:
            raise SecretMissing(f"the environment has no {variable}")
        return value

    def list(self) -> list[str]:
        prefix = self._settings.get("prefix", "")
        return sorted(name.removeprefix(prefix) for name in os.environ if name.startswith(prefix))
