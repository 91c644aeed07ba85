"""The desktop's keyring, by a real one that needs no desktop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.secrets.stores import make_store
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretStoreUnreachable

pytest.importorskip("keyrings.alt", reason="keyrings.alt is not installed")

FILE = "keyrings.alt.file.PlaintextKeyring"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def ring(backend: str = FILE, **more: Any) -> SecretStore:
    return make_store("keyring", {"backend": backend, **more})


def test_a_keyring_is_read_and_written(tmp_path: Path) -> None:
    kept = ring()
    with pytest.raises(SecretMissing, match="has no A_KEY for the service meshd"):
        kept.get("A_KEY")
    kept.set("A_KEY", "a-1")
    assert ring().get("A_KEY") == "a-1"
    with pytest.raises(SecretMissing):
        ring(service="other").get("A_KEY")
    kept.delete("A_KEY")
    with pytest.raises(SecretMissing):
        kept.delete("A_KEY")
    with pytest.raises(SecretStoreError, match="cannot list"):
        kept.list()
    assert kept.blocks


def test_without_a_keyring() -> None:
    with pytest.raises(SecretStoreUnreachable, match="there is no keyring that this process can use"):
        ring("keyring.backends.fail.Keyring").get("A_KEY")
    with pytest.raises(SecretStoreError, match="cannot be used: ModuleNotFoundError"):
        ring("acme.Ring").get("A_KEY")
