"""The vendors' own SDKs with the services that the stores are tested on."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.network.certificates import certificate
from tests.support.secret_stores.azure import KeyVault
from tests.support.secret_stores.connect import VAULT, Connect
from tests.support.secret_stores.google import PROJECT, SecretManager
from tests.support.secret_stores.service import TOKEN
from tests.support.secret_stores.vault import ROLE, SECRET, Vault


@pytest.fixture
def opened() -> Iterator[list[Any]]:
    services: list[Any] = []
    yield services
    for service in services:
        service.close()


def test_hvac(opened: list[Any]) -> None:
    hvac = pytest.importorskip("hvac", reason="hvac is not installed")
    server = Vault()
    opened.append(server)
    client = hvac.Client(url=server.url, strict_http=True)
    assert client.auth.approle.login(ROLE, SECRET)["auth"]["client_token"] in server.tokens
    assert client.is_authenticated()
    kv = client.secrets.kv.v2
    kv.create_or_update_secret("team/keys", {"A": "a-1"}, cas=0)
    assert kv.read_secret_version("team/keys", raise_on_deleted_version=True)["data"]["data"] == {"A": "a-1"}
    assert kv.list_secrets("team")["data"]["keys"] == ["keys"]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set"):
        kv.create_or_update_secret("team/keys", {"A": "a-2"}, cas=0)
    assert client.auth.token.renew_self()["auth"]["renewable"]
    kv.delete_latest_version_of_secret("team/keys")
    for path in ("team/keys", "none"):
        with pytest.raises(hvac.exceptions.InvalidPath):
            kv.read_secret_version(path, raise_on_deleted_version=True)
    kv.delete_metadata_and_all_versions("team/keys")
    client.token = "other"
    with pytest.raises(hvac.exceptions.Forbidden):
        kv.read_secret_version("team/keys", raise_on_deleted_version=True)


def test_google_cloud_secret_manager(opened: list[Any]) -> None:
    secretmanager = pytest.importorskip(
        "google.cloud.secretmanager", reason="google-cloud-secret-manager is not installed"
    )
    from google.api_core.exceptions import NotFound
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceRestTransport,
    )
    from google.oauth2.credentials import Credentials

    server = SecretManager()
    opened.append(server)
    credentials = Credentials(TOKEN)
    transport = SecretManagerServiceRestTransport(
        host=f"127.0.0.1:{server.port}", credentials=credentials, url_scheme="http"
    )
    client = secretmanager.SecretManagerServiceClient(transport=transport)
    project = f"projects/{PROJECT}"
    automatic = {"replication": {"automatic": {}}}
    for name in ("A", "B"):
        client.create_secret(parent=project, secret_id=name, secret=automatic)
        client.add_secret_version(parent=f"{project}/secrets/{name}", payload={"data": b"v-1"})
    latest = client.access_secret_version(name=f"{project}/secrets/A/versions/latest")
    assert latest.payload.data == b"v-1"
    assert [each.name for each in client.list_secrets(parent=project)] == [
        "projects/1/secrets/A",
        "projects/1/secrets/B",
    ]
    client.delete_secret(name=f"{project}/secrets/A")
    with pytest.raises(NotFound):
        client.access_secret_version(name=f"{project}/secrets/A/versions/latest")


def test_azure_keyvault_secrets(opened: list[Any], tmp_path: Path) -> None:
    secrets = pytest.importorskip("azure.keyvault.secrets", reason="azure-keyvault-secrets is not installed")
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import ResourceNotFoundError

    class Ours:
        def get_token(self, *scopes: str, **_: Any) -> AccessToken:
            assert scopes == ("https://vault.azure.net/.default",)
            return AccessToken(TOKEN, 2**33)

    cert, key = certificate(tmp_path, "vault")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = KeyVault(context)
    opened.append(server)
    client = secrets.SecretClient(
        server.url, Ours(), connection_verify=str(cert), verify_challenge_resource=False, retry_total=0
    )
    with client:
        client.set_secret("A-KEY", "a-1")
        client.set_secret("B-KEY", "b-1")
        assert client.get_secret("A-KEY").value == "a-1"
        assert [each.name for each in client.list_properties_of_secrets()] == ["A-KEY", "B-KEY"]
        client.begin_delete_secret("A-KEY")
        with pytest.raises(ResourceNotFoundError):
            client.get_secret("A-KEY")


def test_onepasswordconnectsdk(opened: list[Any]) -> None:
    sdk = pytest.importorskip("onepasswordconnectsdk.client", reason="onepasswordconnectsdk is not installed")
    from onepasswordconnectsdk.models import Field, Item, ItemVault

    server = Connect()
    opened.append(server)
    client = sdk.new_client(server.url, TOKEN)
    assert client.get_vault_by_title("Mesh").id == VAULT
    new = Item(vault=ItemVault(id=VAULT), title="A", category="API_CREDENTIAL")
    new.fields = [Field(label="credential", type="CONCEALED", value="a-1")]
    made = client.create_item(VAULT, new)
    found = client.get_item("A", VAULT)
    assert (found.id, found.fields[0].value) == (made.id, "a-1")
    found.fields[0].value = "a-2"
    client.update_item(found.id, VAULT, found)
    assert client.get_item(found.id, VAULT).fields[0].value == "a-2"
    assert [each.title for each in client.get_items(VAULT)] == ["A"]
    client.delete_item(found.id, VAULT)
    assert client.get_items(VAULT) == []
