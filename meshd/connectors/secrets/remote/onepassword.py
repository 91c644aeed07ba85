"""`1password.connect.v1`: the REST API of a 1Password Connect server.

Owns: which item and field a name means. Must never: ask for a vault that the configuration does not name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from meshd.connectors.secrets.files import beside, read_value
from meshd.connectors.secrets.remote.http import Service
from meshd.connectors.secrets.remote.remote_store import Content, RemoteStore
from meshd.sdk.secrets import SecretMissing, SecretStoreError

_ID = re.compile(r"[a-z0-9]{26}")
_FIELD = "credential"


class ConnectStore(RemoteStore):
    """Settings: `connect_url` ($OP_CONNECT_HOST), `token` or `token_file` ($OP_CONNECT_TOKEN), `vault` (its name or
    id), `field`, `prefix` or `path`, `ca_file`. A secret is the item with that title; its fields are the item's."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        url = settings.get("connect_url") or os.environ.get("OP_CONNECT_HOST")
        if not url:
            raise ValueError("`connect_url` is missing, and $OP_CONNECT_HOST is not set")
        self._service = Service("1Password Connect", url, settings)
        self.only_field = str(settings.get("field") or _FIELD)
        self._vault_id = ""

    def fetch(self, secret: str) -> Content:
        item = self._item(secret)
        fields: dict[str, Any] = {}
        for field in item.get("fields") or []:
            if field.get("value"):
                fields.setdefault(_label(field), field["value"])
        if self.only_field not in fields and "password" in fields and not self._settings.get("field"):
            fields[self.only_field] = fields["password"]
        return fields

    def put(self, secret: str, content: Content) -> None:
        wanted = dict(content) if isinstance(content, dict) else {self.only_field: content}
        try:
            item = self._item(secret)
        except SecretMissing:
            fields = [_concealed(label, value) for label, value in wanted.items()]
            new = {"vault": {"id": self._vault()}, "title": secret, "category": "API_CREDENTIAL", "fields": fields}
            self._ask("POST", "/items", new)
            return
        before = item.get("fields") or []
        known = {_label(field) for field in before}
        if self.only_field in wanted and self.only_field not in known and "password" in known:
            wanted["password"] = wanted.pop(self.only_field)  # a login's, which `fetch` gives under that name
        fields = [{**field, "value": wanted.get(_label(field), field.get("value"))} for field in before]
        if isinstance(content, dict):  # only fields with a value: the others were deleted
            fields = [field for field in fields if _label(field) in wanted or not field.get("value")]
        fields += [_concealed(label, value) for label, value in wanted.items() if label not in known]
        self._ask("PUT", f"/items/{quote(str(item['id']))}", {**item, "fields": fields})

    def remove(self, secret: str) -> None:
        self._ask("DELETE", f"/items/{quote(str(self._item(secret)['id']))}")

    def names(self) -> list[str]:
        return [str(item.get("title")) for item in self._listed("/items")]

    def close(self) -> None:
        self._service.close()

    def _item(self, title: str) -> dict[str, Any]:
        """Raises SecretMissing, SecretStoreError."""
        found = self._listed("/items", _filter("title", title))
        ids = [str(item.get("id")) for item in found if item.get("title") == title]
        if not ids:
            raise SecretMissing(f"1Password has no item {title} in the vault {self._settings['vault']}")
        if len(ids) > 1:
            raise SecretStoreError(f"1Password has {len(ids)} items {title} in the vault {self._settings['vault']}")
        return self._ask("GET", f"/items/{quote(ids[0])}")

    def _vault(self) -> str:
        wanted = str(self._settings["vault"])
        if _ID.fullmatch(wanted):
            return wanted
        if not self._vault_id:
            answer = self._send("GET", "/v1/vaults", query=_filter("name", wanted))
            found = [str(vault.get("id")) for vault in answer.get("data") or [] if vault.get("name") == wanted]
            if len(found) != 1:
                raise SecretStoreError(f"this token may read {len(found)} vaults named {wanted}, instead of one")
            self._vault_id = found[0]
        return self._vault_id

    def _listed(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        found = self._ask("GET", path, query=query).get("data")
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

    def _ask(self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self._send(method, f"/v1/vaults/{quote(self._vault())}{path}", body, query)

    def _send(self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token()}"}
        return self._service.ask(method, path, headers=headers, body=body, query=query)

    def _token(self) -> str:
        """Raises SecretStoreError."""
        if path := self._settings.get("token_file"):
            return read_value(beside(self._settings, path), private=True)
        token = self._settings.get("token") or os.environ.get("OP_CONNECT_TOKEN")
        if not token:
            raise SecretStoreError("there is no token for 1Password Connect: set `token_file` or $OP_CONNECT_TOKEN")
        return str(token)


def _label(field: Mapping[str, Any]) -> str:
    return str(field.get("label") or field.get("id"))


def _concealed(label: str, value: Any) -> dict[str, Any]:
    return {"label": label, "type": "CONCEALED", "value": value}


def _filter(field: str, value: str) -> dict[str, str]:
    """A SCIM filter, as the API takes it. Raises SecretMissing for a value that could break out of it."""
    if '"' in value or "\\" in value:
        raise SecretMissing(f"{value!r} cannot be a title")
    return {"filter": f'{field} eq "{value}"'}
