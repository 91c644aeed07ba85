"""Every kind of secret store, each with a secret of its own, for one daemon that asks them in order."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from meshd.connectors.secrets.stores import make_store
from tests.support.secret_stores.aws import Aws
from tests.support.secret_stores.azure import KeyVault
from tests.support.secret_stores.connect import Connect
from tests.support.secret_stores.front import Front
from tests.support.secret_stores.google import SecretManager
from tests.support.secret_stores.password_store import PasswordStore
from tests.support.secret_stores.service import TOKEN, SecretService
from tests.support.secret_stores.vault import Vault

KINDS = (
    "dotenv", "json", "encrypted", "directory", "systemd", "environment's file", "command", "pass", "op", "keyring",
    "vault", "secrets manager", "parameter store", "google", "azure", "connect",
)  # fmt: skip

_OP = """#!/bin/sh
exec cat "{folder}/op-${{3##op://Mesh/}}" 2>/dev/null
"""


def lacking(kind: str) -> str:
    """Why this machine cannot have it, "" if it can."""
    if kind == "pass":
        return "" if shutil.which("pass") and shutil.which("gpg") else "pass or gpg is not installed"
    return ""


class AllKinds:
    """folder: short. stores: for the configuration. environment: the daemon's. set: kind → replaces its secret.
    services: by kind, those that are servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stores: list[Any] = []
        self.environment: dict[str, str] = {}
        self._set: dict[str, Callable[[str, str], None]] = {}
        self.services: dict[str, SecretService] = {}
        self._opened: list[Any] = []
        self._add_files()
        self._add_services()
        self._add_programs()  # last, as each is started for whatever the others do not have

    @staticmethod
    def name(kind: str) -> str:
        return "K_" + kind.upper().replace(" ", "_").replace("'", "")

    def set(self, kind: str, value: str) -> None:
        self._set[kind](self.name(kind), value)

    def file(self, kind: str) -> Path:
        """Where the secret of one that is no server is."""
        name = self.name(kind)
        places = {
            "dotenv": "kept.env", "json": "kept.json", "encrypted": "kept.enc",
            "directory": f"directory/{name}", "systemd": f"credentials/{name}", "environment's file": f"named/{name}",
            "command": f"command-{name}", "op": f"op-{name}/key", "pass": f"passwords/{name}.gpg",
            "keyring": "data/python_keyring/keyring_pass.cfg",
        }  # fmt: skip
        return self.folder / places[kind]

    def close(self) -> None:
        for each in reversed(self._opened):
            each.close()

    def _store(self, kind: str, **settings: Any) -> None:
        """One that the daemon's own code writes."""
        self.stores.append(settings)
        own = {name: value for name, value in settings.items() if name != "connector"}
        written = make_store(settings["connector"], own)
        self._set[kind] = written.set

    def _add_files(self) -> None:
        place = str(self.folder / "kept")
        self._store("dotenv", connector="modelmesh.dotenv.v1", path=f"{place}.env")
        self._store("json", connector="modelmesh.json-secrets.v1", file_path=f"{place}.json", json_path="keys")
        key = self.folder / "key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        self._store("encrypted", connector="modelmesh.encrypted-file.v1", path=f"{place}.enc", key_file=str(key))
        for kind in ("directory", "credentials", "named"):
            (self.folder / kind).mkdir(mode=0o700)
        self._store("directory", connector="modelmesh.directory.v1", path=str(self.folder / "directory"))
        self.stores += ["systemd.credentials.v1", "modelmesh.env.v1"]
        named = self.name("environment's file")
        self.environment |= {
            "CREDENTIALS_DIRECTORY": str(self.folder / "credentials"),
            f"{named}_FILE": str(self.folder / "named" / named),
        }
        self._set["systemd"] = lambda name, value: _write(self.folder / "credentials" / name, value)
        self._set["environment's file"] = lambda name, value: _write(self.folder / "named" / name, value)

    def _add_programs(self) -> None:
        self.stores.append({"connector": "command", "command": ["cat", f"{self.folder}/command-{{name}}"]})
        self._set["command"] = lambda name, value: _write(self.folder / f"command-{name}", value)
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "op").write_text(_OP.format(folder=self.folder))
        (programs / "op").chmod(0o755)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}:{Path(sys.executable).parent}"
        self.stores.append({"connector": "op", "vault": "Mesh", "field": "key"})

        def set_op(name: str, value: str) -> None:
            (self.folder / f"op-{name}").mkdir(exist_ok=True)
            _write(self.folder / f"op-{name}" / "key", value)

        self._set["op"] = set_op
        if not lacking("pass"):
            made = PasswordStore(self.folder)
            self._opened.append(made)
            self.environment |= made.environment()
            self.stores.append({"connector": "pass"})
            self._set["pass"] = made.insert
        ring = {"connector": "keyring", "backend": "keyrings.alt.file.PlaintextKeyring"}
        self.stores.append(ring)
        self.environment["XDG_DATA_HOME"] = str(self.folder / "data")

        def set_ring(name: str, value: str) -> None:
            with mock.patch.dict(os.environ, XDG_DATA_HOME=str(self.folder / "data")):
                make_store("keyring", {"backend": ring["backend"]}).set(name, value)

        self._set["keyring"] = set_ring

    def _add_services(self) -> None:
        vault, google, azure, connect, aws = Vault(), SecretManager(), KeyVault(), Connect(), Aws()
        account = "123456789012"
        secrets, parameters = (aws.of(kind, account) for kind in ("aws.secrets-manager.v1", "aws.parameter-store.v1"))
        fronts = Front(aws.url), Front(aws.url)
        self._opened += [vault, google, azure, connect, aws, *fronts, secrets, parameters]
        self.services |= {"vault": vault, "google": google, "azure": azure, "connect": connect}
        self.services |= zip(("secrets manager", "parameter store"), fronts, strict=True)
        _write(self.folder / "key.json", google.key_file())
        self.environment |= {**azure.environment(), **secrets.environment()}
        self.stores += [
            {"connector": "hashicorp.vault.v1", "vault_url": vault.url, "token": TOKEN},
            {"connector": "aws.secrets-manager.v1", "endpoint_url": fronts[0].url},
            {"connector": "aws.parameter-store.v1", "endpoint_url": fronts[1].url},
            {
                "connector": "google.secret-manager.v1",
                "endpoint_url": google.url,
                "credentials_file": str(self.folder / "key.json"),
            },
            {"connector": "microsoft.key-vault.v1", "vault_url": azure.url},
            {"connector": "1password.connect.v1", "connect_url": connect.url, "token": TOKEN, "vault": "Mesh"},
        ]
        self._set |= {
            "vault": vault.set, "secrets manager": secrets.set, "parameter store": parameters.set,
            "google": google.set, "azure": azure.set, "connect": connect.set,
        }  # fmt: skip


def _write(path: Path, text: str) -> None:
    """As whoever mounts secrets does."""
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(text)
    partial.chmod(0o600)
    partial.replace(path)
