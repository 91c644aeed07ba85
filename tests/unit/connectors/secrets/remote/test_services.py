"""The stores that are services: the same rules for all of them, and what each has of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.secrets.bounded import BoundedStore
from meshd.connectors.secrets.stores import make_store
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretStoreUnreachable
from tests.support.secret_stores.aws import Aws
from tests.support.secret_stores.azure import KeyVault
from tests.support.secret_stores.connect import Connect
from tests.support.secret_stores.google import SecretManager
from tests.support.secret_stores.service import TOKEN
from tests.support.secret_stores.vault import JWT, ROLE, SECRET, Vault

Make = Callable[..., tuple[Any, SecretStore]]


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    server = Aws()
    yield server
    server.close()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Make]:
    """`make(kind, **settings)`: a service and its store."""
    opened: list[Any] = []

    def make(kind: str, **settings: Any) -> tuple[Any, SecretStore]:
        if kind in ("aws.secrets-manager.v1", "aws.parameter-store.v1"):
            server: Any = request.getfixturevalue("aws").of(kind)
            environment = server.environment()
        else:
            server = {"vault": Vault, "google": SecretManager, "azure": KeyVault, "connect": Connect}[kind]()
            opened.append(server)
            environment = server.environment() if kind == "azure" else {}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "key.json").write_text(server.key_file() if kind == "google" else "")
        (tmp_path / "key.json").chmod(0o600)
        ids: dict[str, tuple[str, dict[str, Any]]] = {
            "vault": ("hashicorp.vault.v1", {"vault_url": server.url, "token": TOKEN}),
            "google": ("google.secret-manager.v1", {"endpoint_url": server.url, "credentials_file": "key.json"}),
            "azure": ("microsoft.key-vault.v1", {"vault_url": server.url}),
            "connect": ("1password.connect.v1", {"connect_url": server.url, "token": TOKEN, "vault": "Mesh"}),
        }
        id, own = ids.get(kind) or (kind, {"endpoint_url": server.url})
        store = make_store(id, {"folder": str(tmp_path), "timeout": 10.0, **own, **settings})
        opened.append(store)
        return server, store

    yield make
    for each in reversed(opened):
        each.close()


SERVICES = ["vault", "google", "azure", "connect"]
ALL = [*SERVICES, "aws.secrets-manager.v1", "aws.parameter-store.v1"]


@pytest.mark.parametrize("kind", [*ALL[:-1], pytest.param(ALL[-1], marks=pytest.mark.soak)])  # moto reads much for it
def test_a_secret_is_kept_read_listed_replaced_and_deleted(make: Make, kind: str) -> None:
    prefix = "/mesh/" if kind == "aws.parameter-store.v1" else "mesh-"
    server, store = make(kind, prefix=prefix)
    assert store.blocks
    assert store.writable
    with pytest.raises(SecretMissing):
        store.get("A_KEY")
    assert store.list() == []
    server.set(f"{prefix}B_KEY", "b-1")
    store.set("A_KEY", 'a "1"')
    assert store.get("A_KEY") == 'a "1"'
    assert store.list() == ["A_KEY", "B_KEY"]
    store.set("B_KEY", "b-2")
    assert store.get("B_KEY") == "b-2"
    store.delete("A_KEY")
    with pytest.raises(SecretMissing):
        store.get("A_KEY")
    with pytest.raises(SecretMissing):
        store.delete("A_KEY")
    store.set("A_KEY", "a-2")
    assert store.get("A_KEY") == "a-2"
    assert "b-2" not in repr(store)


@pytest.mark.parametrize("kind", ALL)
def test_fields_of_one_secret(make: Make, kind: str) -> None:
    _, store = make(kind, path="team")
    store.set("A_KEY", "a-1")
    store.set("B_KEY", "b-1")
    assert (store.get("A_KEY"), store.get("B_KEY"), store.get("team#A_KEY")) == ("a-1", "b-1", "a-1")
    assert store.list() == ["A_KEY", "B_KEY"]
    store.delete("A_KEY")
    assert store.list() == ["B_KEY"]
    for missing in ("A_KEY", "other#A_KEY"):
        with pytest.raises(SecretMissing):
            store.get(missing)


@pytest.mark.parametrize("kind", SERVICES)
def test_names_in_the_same_secret_are_read_at_once(make: Make, kind: str) -> None:
    server, store = make(kind, path="team")
    store.set("A_KEY", "a-1")
    store.set("B_KEY", "b-1")
    store.refresh()
    store.get("A_KEY")
    before = len(server.asked)
    assert store.get("B_KEY") == "b-1"
    assert len(server.asked) == before
    store.refresh()
    store.get("B_KEY")
    assert len(server.asked) > before


@pytest.mark.parametrize("fault", ["dies", "fails", "rambles", "floods"])
@pytest.mark.parametrize("kind", SERVICES)
def test_a_service_that_does_not_answer_sensibly(make: Make, kind: str, fault: str) -> None:
    server, store = make(kind)
    server.set("A_KEY", "a-1")
    assert store.get("A_KEY") == "a-1"
    server.fault = fault
    store.refresh()
    with pytest.raises(SecretStoreUnreachable) as error:
        store.get("A_KEY")
    assert TOKEN not in str(error.value)
    server.fault = ""
    assert store.get("A_KEY") == "a-1"


@pytest.mark.parametrize("kind", SERVICES)
def test_one_that_refuses_the_token_is_said_to(make: Make, kind: str) -> None:
    server, store = make(kind)
    server.tokens = set()
    with pytest.raises(SecretStoreError, match=r"refused: 40[13]"):
        store.get("A_KEY")
    server.tokens = {TOKEN}
    server.set("A_KEY", "a-1")
    assert store.get("A_KEY") == "a-1"


def test_one_that_hangs_is_given_up(make: Make) -> None:
    server, store = make("vault")
    bounded = BoundedStore("vault", store, 0.1)
    server.fault = "hangs"
    with pytest.raises(SecretStoreUnreachable, match="in time"):
        bounded.get("A_KEY")
    bounded.close()


# -- Vault ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["approle", "kubernetes"])
def test_logging_in_to_vault(make: Make, auth: str, tmp_path: Path) -> None:
    for name, text in (("jwt", JWT), ("secret-id", SECRET)):
        (tmp_path / name).write_text(f"{text}\n")
        (tmp_path / name).chmod(0o600)
    own = {
        "approle": {"role_id": ROLE, "secret_id_file": "secret-id"},
        "kubernetes": {"role": "mesh", "jwt_file": "jwt"},
    }
    server, store = make("vault", auth=auth, **own[auth])
    server.set("A", "a-1")
    assert store.get("A") == "a-1"
    server.tokens.clear()  # as after a restart with another storage, or when it was revoked
    store.refresh()
    assert store.get("A") == "a-1"
    assert server.logins == [f"/v1/auth/{auth}/login"] * 2


def test_a_token_of_vault_is_renewed_before_it_ends(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    server, store = make("vault")
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    server.ttl = 100
    server.set("A", "a-1")
    for seconds, renewals in ((0, 0), (49, 0), (3, 1), (48, 1), (3, 2)):
        now[0] += seconds
        assert store.get("A") == "a-1"
        assert server.renewals == renewals
    server.renewable = False
    now[0] += 51
    store.get("A")
    assert server.renewals == 3
    now[0] += 60
    store.get("A")
    assert server.renewals == 3
    now[0] += 60  # it has ended
    store.get("A")
    assert server.asked.count("GET /v1/auth/token/lookup-self") == 2


def test_a_change_in_vault_meanwhile_is_not_lost(make: Make) -> None:
    server, store = make("vault")
    server.secrets["A"] = [{"value": "a-1", "owner": "ops"}]
    store.set("A", "a-2")
    assert server.secrets["A"][-1] == {"value": "a-2", "owner": "ops"}
    server.secrets["A"].append(None)  # deleted
    with pytest.raises(SecretMissing):
        store.get("A")
    store.set("A", "a-3")
    assert server.secrets["A"][-1] == {"value": "a-3"}


# -- 1Password --------------------------------------------------------------------------------------------


def test_a_login_of_1password_has_a_password(make: Make) -> None:
    server, store = make("connect")
    server.add("A", [{"id": "password", "label": "password", "purpose": "PASSWORD", "value": "a-1"}, {"id": "notes"}])
    assert store.get("A") == "a-1"
    store.set("A", "a-2")
    [item] = server.items.values()
    assert [field.get("value") for field in item["fields"]] == ["a-2", None]
    server.add("A", [])
    with pytest.raises(SecretStoreError, match="2 items"):
        store.get("A")


def test_a_vault_of_1password_that_is_not_there(make: Make) -> None:
    _, store = make("connect", vault="Other")
    with pytest.raises(SecretStoreError, match="vaults named Other"):
        store.get("A")


def test_addresses_that_are_none() -> None:
    for url in ("ftp://x", "vault.test", "https://"):
        with pytest.raises(ValueError, match="is not an address"):
            make_store("hashicorp.vault.v1", {"vault_url": url})
