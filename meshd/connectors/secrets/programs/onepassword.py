"""`1password.cli.v1`: 1Password's program `op`.

Owns: the reference to a secret. Must never: write, since `op` takes values only as arguments, which other users can
see.
"""

from __future__ import annotations

import json

from meshd.connectors.secrets.programs.running import PATIENCE, run
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretStoreUnreachable

_ITS_OWN = ("OP_*",)
_MISSING = ("isn't an item", "isn't a field", "could not find item", "no item found", "does not have a field")


class OpStore(SecretStore):
    """Settings: `vault`; `field` of an item with the secret's name, `credential` by default. A name may also be
    `ITEM#FIELD`, or a whole reference `op://VAULT/ITEM/FIELD`. `account`: which one, if there are several."""

    def get(self, name: str) -> str:
        try:
            return self._op("read", "--no-newline", self._reference(name))
        except SecretStoreUnreachable:
            raise
        except SecretStoreError as error:
            if any(words in str(error).lower() for words in _MISSING):
                raise SecretMissing(f"1Password has no {name}") from None
            raise

    def list(self) -> list[str]:
        answer = self._op("item", "list", "--vault", self._vault, "--format", "json")
        try:
            return sorted(str(item["title"]) for item in json.loads(answer))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SecretStoreError("op did not print a list of items") from None

    @property
    def _vault(self) -> str:
        return str(self._settings["vault"])

    def _reference(self, name: str) -> str:
        if name.startswith("op://"):
            return name
        item, _, field = name.partition("#")
        return f"op://{self._vault}/{item}/{field or self._settings.get('field') or 'credential'}"

    def _op(self, *words: str) -> str:
        account = self._settings.get("account")
        command = ["op", *words, *(["--account", str(account)] if account else [])]
        return run(command, timeout=self._settings.get("timeout") or PATIENCE, passed_on=_ITS_OWN)
