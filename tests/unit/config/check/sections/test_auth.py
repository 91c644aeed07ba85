"""`auth` of a provider: each method has its own keys, and says which of them are missing."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.compilation.compile import Directories, provider_settings
from meshd.config import MeshConfig
from meshd.config.check.sections import auth as checks
from meshd.connectors.registry import default_registry
from meshd.host.installing import how_to_install
from tests.support.config.problems import found, house

OAUTH = {
    "method": "oauth",
    "token_url": "https://login.test/token",
    "client_id": "mesh",
    "client_secret": "s3cret-s3cret",
}


def said(**auth: Any) -> list[str]:
    """Without the provider's name."""
    return [problem.removeprefix("providers.house.") for problem in found({"providers": house(auth=auth)})]


@pytest.mark.parametrize(
    "auth",
    [
        OAUTH,
        {**OAUTH, "scopes": ["a", "b"], "audience": "api://x", "client_auth": "post"},
        {"method": "oauth", "token_url": "https://login.test/token", "refresh_token": "r3fresh-r3fresh"},
        {"method": "service_account", "scopes": ["https://scope.test"]},
        {"method": "service_account", "credentials": "${secrets:GOOGLE}"},
        {"method": "entra"},
        {"method": "entra", "client_id": "identity"},
        {"method": "entra", "tenant_id": "t", "client_id": "c", "client_secret": "${secrets:AZURE}"},
        {"method": "aws", "region": "eu-central-1", "profile": "work"},
        {"method": "none"},
        {"method": "passthrough", "key_rotation": False},
        {"method": None, "token_url": None},
    ],
)
def test_complete_methods(auth: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda module: module)
    assert said(**auth) == []


@pytest.mark.parametrize(
    ("auth", "problems"),
    [
        (
            {"method": "oauth"},
            [
                "auth.token_url: is missing: the address that gives the tokens",
                "auth.client_secret: is missing: give it with `client_id`, or give a `refresh_token`",
            ],
        ),
        ({**OAUTH, "client_id": None}, ["auth.client_id: is missing: the client that `client_secret` belongs to"]),
        ({**OAUTH, "token_url": "login.test"}, ["auth.token_url: expected http://… or https://…"]),
        ({**OAUTH, "tenant_id": "t"}, ["auth.tenant_id: belongs to `auth.method` `entra`, and the method is oauth"]),
        ({**OAUTH, "tokenurl": "x"}, ['auth.tokenurl: unknown key; did you mean "token_url"?']),
        ({**OAUTH, "client_auth": "jwt"}, ["auth.client_auth: expected basic or post, got 'jwt'"]),
        ({"scopes": ["a"]}, ["auth.scopes: belongs to `auth.method` `oauth` or `service_account` or `entra`, and the "
                             "method is an API key"]),
        ({"method": "service_account", "credentials": "{}", "credentials_file": "/x"},
         ["auth.credentials: and `credentials_file` are both given: leave one of them out"]),
        ({"method": "service_account", "credentials_file": "/no/such.json"},
         ["auth.credentials_file: /no/such.json cannot be read"]),
        ({"method": "entra", "client_secret": "s3cret-s3cret"},
         ["auth.tenant_id: is missing: `client_secret` needs `tenant_id` and `client_id`",
          "auth.client_id: is missing: `client_secret` needs `tenant_id` and `client_id`"]),
        ({"method": "entra", "tenant_id": "t"},
         ["auth.client_secret: is missing: `tenant_id` belongs to an application with a secret"]),
    ],
)  # fmt: skip
def test_what_is_missing_or_too_much(
    auth: dict[str, Any], problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda module: module)
    assert said(**auth) == problems


@pytest.mark.parametrize(
    ("method", "package", "extra"),
    [("service_account", "google-auth", "google"), ("entra", "azure-identity", "azure"), ("aws", "botocore", "aws")],
)
def test_a_missing_package_names_the_extra(
    method: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda module: None)
    install = how_to_install(extra)
    assert said(method=method) == [f"auth.method: {method} needs the package {package}; install it with {install}"]
    assert not [each for each in found({"providers": house(auth={"method": method}, enabled=False)}) if "pip" in each]


def test_a_key_is_not_given_beside_another_method() -> None:
    (problem,) = found({"providers": house(auth=OAUTH, api_key="sk-abcdefgh")})[-1:]
    assert problem == "providers.house.api_key: is not sent with `auth.method: oauth`: give only one of them"


def test_services_take_no_key_of_an_app() -> None:
    (problem,) = found({"providers": {"tavily": {"auth": {"method": "passthrough"}}}})
    assert problem.startswith("providers.tavily.auth.method: passthrough is for providers with a wire format")


def test_what_a_method_needs_reaches_the_connector_and_no_key_is_implied() -> None:
    raw = {
        "providers": {
            "openai": {"auth": {"method": "oauth", "token_url": "https://t", "client_secret": "${secrets:S}"}}
        }
    }
    config = MeshConfig.from_dict(raw, environ={}).with_secrets({"S": "s3cret-s3cret", "OPENAI_API_KEY": "sk-abc"})
    assert config.secret_references() == {"S": ["providers.openai.auth.client_secret"]}
    made = provider_settings("openai", config.providers["openai"], default_registry(), Directories())
    assert (made.auth_method, made.api_key) == ("oauth", None)
    assert made.auth == {"token_url": "https://t", "client_secret": "s3cret-s3cret"}
    assert "s3cret" not in repr(config.providers["openai"].auth) + repr(made)
