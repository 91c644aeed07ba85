"""Google's and Azure's own libraries, against servers that answer as theirs do."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.providers.authorizations.known import authorization
from meshd.connectors.providers.authorizations.tokens import Tokens
from meshd.sdk import FailureKind, ProviderFailure, ProviderSettings
from meshd.sdk.http.authorization import Unauthorized
from meshd.sdk.http.credentials import Credentials, secrets_of
from tests.support.network.certificates import certificate
from tests.support.providers.credentials.cloud_tokens import CloudTokens
from tests.support.providers.servers.small_proxy import SmallProxy

pytest.importorskip("google.auth")
pytest.importorskip("azure.identity")

ASKED = Unauthorized("POST", "http://api.test/v1", {}, b"")


@pytest.fixture(scope="module")
def key() -> str:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = generate_private_key(65537, 2048)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def server() -> Iterator[CloudTokens]:
    made = CloudTokens()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of the machine that runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)


def service_account(server: CloudTokens, key: str, **more: Any) -> str:
    whose = {"client_email": "mesh@project.test", "private_key_id": "k3y-id-0123456789", "project_id": "project"}
    where = {"token_uri": f"http://127.0.0.1:{server.port}/google"}
    return json.dumps({"type": "service_account", "private_key": key, **whose, **where, **more})


async def token(method: str, options: dict[str, Any] | None = None, **auth: Any) -> tuple[str, Credentials]:
    settings = ProviderSettings("p", "c", auth_method=method, auth=auth, options=options or {})
    masks = Credentials(secrets_of(settings))
    made = authorization(settings, masks.learn)
    assert isinstance(made, Tokens)
    try:
        headers = await made.headers(ASKED)
    except ProviderFailure as failure:
        raise masks.clean(failure) from None
    finally:
        await made.aclose()
    return headers["Authorization"], masks


async def test_a_key_of_a_service_account_signs_for_its_scopes(server: CloudTokens, key: str) -> None:
    from google.auth import jwt

    given, masks = await token("service_account", credentials=service_account(server, key), scopes=("https://s.test",))
    assert given == "Bearer cl0ud-1-abcdefghijkl"
    ((_, form),) = server.asked
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    signed = jwt.decode(form["assertion"], verify=False)
    assert (signed["iss"], signed["scope"]) == ("mesh@project.test", "https://s.test")
    assert masks.text(f"it was {given} by {key[100:200]}, k3y-id-0123456789") == "it was Bearer ••• by •••, •••"


async def test_a_file_is_read_each_time_and_only_if_no_other_user_can(
    server: CloudTokens, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "account.json"
    path.write_text(service_account(server, key))
    path.chmod(0o644)
    with pytest.raises(ProviderFailure, match=f"{path} can be read by others: run `chmod 600 {path}`") as refused:
        await token("service_account", credentials_file=str(path))
    assert refused.value.kind is FailureKind.AUTHENTICATION
    path.chmod(0o600)
    given, _ = await token("service_account", credentials_file=str(path))
    assert given == "Bearer cl0ud-1-abcdefghijkl"


async def test_application_default_credentials(
    server: CloudTokens, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        here.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.port}")
        here.setenv("GCE_METADATA_IP", f"127.0.0.1:{server.port}")
        # A proxy of the provider does not lead to the metadata of this machine.
        given, _ = await token("service_account", {"proxy": "http://127.0.0.1:1"})
    assert given == "Bearer cl0ud-1-abcdefghijkl"
    assert server.asked[0][0] == "metadata"
    path = tmp_path / "adc.json"
    path.write_text(service_account(server, key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    given, _ = await token("service_account")
    assert given == "Bearer cl0ud-2-abcdefghijkl"


async def test_google_refuses_and_its_words_are_told_without_secrets(server: CloudTokens, key: str) -> None:
    server.instead = 400, {"error": "invalid_grant", "error_description": f"{key[:300]} k3y-id-0123456789"}
    with pytest.raises(ProviderFailure, match="Google gave no token: invalid_grant") as refused:
        await token("service_account", credentials=service_account(server, key))
    assert refused.value.kind is FailureKind.AUTHENTICATION
    assert refused.value.unsent
    assert "k3y-id" not in refused.value.message
    assert key[60:90] not in refused.value.message


async def test_google_over_the_providers_proxy(server: CloudTokens, key: str) -> None:
    proxy = SmallProxy()
    try:
        options = {"proxy": proxy.address("socks5")}
        given, _ = await token("service_account", options, credentials=service_account(server, key))
        assert given.startswith("Bearer cl0ud")
        assert proxy.asked == [f"SOCKS 127.0.0.1:{server.port}"]
    finally:
        proxy.close()


@pytest.mark.parametrize("text", ["s3cret-not-json", '["s3cret"]', '{"private_key": "s3cret"}'])
async def test_what_is_not_a_key_file_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^auth\.credentials is not the content of a key file") as refused:
        await token("service_account", credentials=text)
    assert "s3cret" not in str(refused.value)


# -- Azure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [None, "assigned-identity"])
async def test_a_managed_identity(server: CloudTokens, client: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")  # none of a developer's programs
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.port}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "1dentity-header")
    given, masks = await token("entra", {"proxy": "http://127.0.0.1:1"}, **({"client_id": client} if client else {}))
    assert given == "Bearer cl0ud-1-abcdefghijkl"
    assert masks.text(given) == "Bearer •••"
    ((_, query),) = server.asked
    assert query["resource"] == "https://cognitiveservices.azure.com"
    assert query.get("client_id") == client


async def test_an_application_with_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cert, private = certificate(tmp_path, "tenant")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, private)
    server, proxy = CloudTokens(context), SmallProxy()
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://localhost:{server.port}")
    application = {"tenant_id": "tenant-1", "client_id": "mesh", "client_secret": "s3cret-s3cret"}
    options = {"ca_file": str(cert), "proxy": proxy.address("http")}
    try:
        given, _ = await token("entra", options, **application)
        assert given == "Bearer cl0ud-1-abcdefghijkl"
        ((tenant, form),) = server.asked
        assert (tenant, form["client_id"], form["client_secret"]) == ("tenant-1", "mesh", "s3cret-s3cret")
        assert form["scope"] == "https://cognitiveservices.azure.com/.default"
        assert set(proxy.asked) == {f"CONNECT localhost:{server.port}"}
        server.instead = 401, {"error": "invalid_client", "error_description": "AADSTS7000215: s3cret-s3cret is wrong"}
        with pytest.raises(ProviderFailure, match="Azure refused the credentials of `auth`: ") as refused:
            await token("entra", options, **application)
        assert refused.value.kind is FailureKind.AUTHENTICATION
        assert "AADSTS7000215" in refused.value.message
        assert "s3cret" not in refused.value.message + caplog.text
    finally:
        server.close()
        proxy.close()


async def test_azure_knows_no_socks() -> None:
    with pytest.raises(ValueError, match="does not support SOCKS proxies"):
        await token("entra", {"proxy": "socks5://127.0.0.1:1"})
