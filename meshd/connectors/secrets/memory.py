"""`modelmesh.memory-secrets.v1`: values given in the configuration. For tests."""

from __future__ import annotations

from meshd.sdk.secrets import SecretMissing, SecretStore


class MemoryStore(SecretStore):
    """Settings: `values`, name → value. It is read at every get, so a test may change it."""

    blocks = False

    def get(self, name: str) -> str:
        try:
            return str(self._settings.get("values", {})[name])
        except KeyError:
            raise SecretMissing(f"the configuration gives no value for {name}") from None

    def list(self) -> list[str]:
        return sorted(self._settings.get("values", {}))
