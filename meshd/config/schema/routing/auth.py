"""The section `providers.NAME.auth`: how the mesh identifies itself to a provider.

Owns: its keys, and which of them belong to which method. Must never: check one method's keys against each other
(`config/check/sections/auth.py`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from meshd.config.schema.base import Key, Names, Section, Url

AuthMethod = Literal["api_key", "bearer", "oauth", "service_account", "entra", "aws", "passthrough", "none"]


class AuthConfig(Section):
    method: AuthMethod | None = Field(
        default=None,
        description="How requests are authorised. `api_key`: the key as the connector sends it. `bearer`: the key as "
        "`Authorization: Bearer`. `oauth`: tokens from `token_url`. `service_account`: Google's tokens. `entra`: "
        "Azure's tokens. `aws`: signatures with AWS credentials. `passthrough`: the app's own key. `none`: nothing is "
        "sent.",
        json_schema_extra={"shown_default": "the connector's"},
    )
    key_rotation: bool = Field(
        default=True, description="Read the key, or other secrets, again when the provider refuses it."
    )
    token_url: Url | None = Field(default=None, description="`oauth`: the address that issues tokens.")
    client_id: Key | None = Field(
        default=None,
        description="`oauth`: the client. `entra`: the application, or without a `client_secret` the managed identity.",
    )
    client_secret: Key | None = Field(
        default=None, description="`oauth`, `entra`: the client's secret, preferably as `${secrets:NAME}`.", repr=False
    )
    client_auth: Literal["basic", "post"] | None = Field(
        default=None,
        description="`oauth`: how the client identifies itself to `token_url`: `basic` (the header `Authorization`) or "
        "`post` (in the form).",
        json_schema_extra={"shown_default": "`basic`"},
    )
    refresh_token: Key | None = Field(
        default=None,
        description="`oauth`: a refresh token to use instead of the client's own credentials.",
        repr=False,
    )
    scopes: Names = Field(
        default=(),
        description="`oauth`, `service_account`, `entra`: what the tokens are for.",
        json_schema_extra={"shown_default": "Google's `cloud-platform`, Azure's `cognitiveservices`"},
    )
    audience: Key | None = Field(default=None, description="`oauth`: the API that the tokens are for.")
    credentials: str | None = Field(
        default=None,
        description="`service_account`: the content of a key file, preferably as `${secrets:NAME}`. Without it and "
        "`credentials_file`: Application Default Credentials.",
        repr=False,
    )
    credentials_file: str | None = Field(default=None, description="`service_account`: the path of a key file.")
    tenant_id: Key | None = Field(default=None, description="`entra`: the tenant of the application.")
    region: Key | None = Field(
        default=None, description="`aws`: the region.", json_schema_extra={"shown_default": "AWS's own settings"}
    )
    profile: Key | None = Field(
        default=None,
        description="`aws`: the profile in AWS's own files.",
        json_schema_extra={"shown_default": "AWS's own settings"},
    )

    @property
    def of_method(self) -> dict[str, Any]:
        """The keys that were given, without the method itself."""
        given = self.model_dump(exclude={"method", "key_rotation"}, exclude_none=True)
        return {key: value for key, value in given.items() if value != ()}


KEYED = ("api_key", "bearer")
"""Methods that send `api_key`. It is also sent if no method is given."""

KEYS: dict[str, tuple[str, ...]] = {
    "oauth": ("token_url", "client_id", "client_secret", "client_auth", "refresh_token", "scopes", "audience"),
    "service_account": ("credentials", "credentials_file", "scopes"),
    "entra": ("tenant_id", "client_id", "client_secret", "scopes"),
    "aws": ("region", "profile"),
}
"""The keys of each method that has its own."""
