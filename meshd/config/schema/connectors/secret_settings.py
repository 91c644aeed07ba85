"""The secret stores' own keys, for the stores that come with the daemon.

Owns: their types, defaults and descriptions; the registry names each by "module:attribute".
Must never: import a store.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meshd.config.schema.base import Names, Section


class DotenvStoreSettings(Section):
    path: str = Field(default=".env", description="The file; relative to the configuration file's folder.")
    override: bool = Field(
        default=False, description="The file takes precedence over an environment variable of the same name."
    )


class DirectoryStoreSettings(Section):
    path: str = Field(description="The directory; relative to the configuration file's folder.")


class JsonStoreSettings(Section):
    file_path: str = Field(description="The file; relative to the configuration file's folder.")
    json_path: str = Field(default="", description="Path of the object with the secrets: keys separated by dots.")


class EncryptedFileSettings(Section):
    path: str = Field(description="The file; relative to the configuration file's folder.")
    passphrase: str | None = Field(default=None, description="The passphrase, such as `${env:NAME}`.", repr=False)
    passphrase_file: str | None = Field(default=None, description="The file with the passphrase.")
    key_file: str | None = Field(
        default=None,
        description="The file with a key of 32 bytes (raw, hexadecimal or base64), instead of a passphrase.",
    )
    kdf: Literal["scrypt", "pbkdf2"] = Field(
        default="scrypt", description="The function that derives a new file's key."
    )


class KeyringSettings(Section):
    service: str = Field(default="meshd", description="The name under which the secrets are kept.")
    backend: str | None = Field(
        default=None, description="A keyring backend class.", json_schema_extra={"shown_default": "keyring's choice"}
    )


class CommandStoreSettings(Section):
    command: tuple[str, ...] = Field(
        description="The program that prints a secret, and its arguments. `{name}` in them is the secret's name; "
        "without it, the name is the last argument. $SECRET_NAME contains the name too."
    )
    set_command: tuple[str, ...] | None = Field(
        default=None, description="The program that takes a new value on its standard input."
    )
    delete_command: tuple[str, ...] | None = Field(default=None, description="The program that deletes a secret.")
    list_command: tuple[str, ...] | None = Field(default=None, description="The program that prints all names.")
    pass_env: Names = Field(
        default=(), description="Variables of the daemon that are passed to the programs, besides the usual ones."
    )


class PassSettings(Section):
    prefix: str = Field(default="", description="Prefix of the entries; a secret's name follows it.")
    directory: str | None = Field(
        default=None, description="The password store.", json_schema_extra={"shown_default": "that of `pass`"}
    )


class OpSettings(Section):
    vault: str = Field(description="The vault's name or id.")
    field: str = Field(default="credential", description="The field of an item.")
    account: str | None = Field(default=None, description="The account, if there are several.")


class RemoteStoreSettings(Section):
    prefix: str = Field(default="", description="Prefix that is put before a name to get the secret's name there.")
    path: str | None = Field(default=None, description="The one secret whose fields are the secrets.")
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "the system's"}
    )


class VaultSettings(RemoteStoreSettings):
    vault_url: str | None = Field(
        default=None, description="Its address.", json_schema_extra={"shown_default": "$VAULT_ADDR"}
    )
    mount: str = Field(default="secret", description="Where its KV engine (version 2) is mounted.")
    namespace: str | None = Field(
        default=None, description="Its namespace.", json_schema_extra={"shown_default": "$VAULT_NAMESPACE"}
    )
    auth: Literal["token", "approle", "kubernetes"] | None = Field(
        default=None,
        description="How to log in.",
        json_schema_extra={"shown_default": "`approle` with a `role_id`, else `token`"},
    )
    auth_mount: str | None = Field(
        default=None,
        description="Where the login method is mounted.",
        json_schema_extra={"shown_default": "the method's name"},
    )
    token: str | None = Field(default=None, description="The token, such as `${env:NAME}`.", repr=False)
    token_file: str | None = Field(
        default=None,
        description="The file with the token.",
        json_schema_extra={"shown_default": "$VAULT_TOKEN, `~/.vault-token`"},
    )
    role_id: str | None = Field(default=None, description="AppRole's role.")
    secret_id: str | None = Field(default=None, description="AppRole's secret, such as `${env:NAME}`.", repr=False)
    secret_id_file: str | None = Field(default=None, description="The file with AppRole's secret.")
    role: str | None = Field(default=None, description="The role for Kubernetes.")
    jwt_file: str | None = Field(
        default=None,
        description="The service account's token.",
        json_schema_extra={"shown_default": "where Kubernetes mounts it"},
    )


class AwsStoreSettings(RemoteStoreSettings):
    region: str | None = Field(
        default=None, description="The region.", json_schema_extra={"shown_default": "$AWS_REGION, or the profile's"}
    )
    profile: str | None = Field(
        default=None, description="A profile of AWS's files.", json_schema_extra={"shown_default": "$AWS_PROFILE"}
    )
    endpoint_url: str | None = Field(
        default=None, description="Another address.", json_schema_extra={"shown_default": "AWS's"}
    )


class GoogleStoreSettings(RemoteStoreSettings):
    project: str | None = Field(
        default=None,
        description="The project.",
        json_schema_extra={"shown_default": "$GOOGLE_CLOUD_PROJECT, or that of the credentials"},
    )
    credentials_file: str | None = Field(
        default=None,
        description="A key file.",
        json_schema_extra={"shown_default": "the environment's or the machine's credentials"},
    )
    version: str = Field(default="latest", description="The version of each secret.")
    endpoint_url: str | None = Field(
        default=None, description="Another address.", json_schema_extra={"shown_default": "Google's"}
    )


class KeyVaultSettings(RemoteStoreSettings):
    vault_url: str = Field(description="The vault: `https://NAME.vault.azure.net`.")
    tenant_id: str | None = Field(default=None, description="An application's tenant.")
    client_id: str | None = Field(default=None, description="The application's id.")
    client_secret: str | None = Field(
        default=None,
        description="The application's secret.",
        json_schema_extra={"shown_default": "the environment's or the machine's credentials"},
        repr=False,
    )
    scope: str | None = Field(
        default=None,
        description="The scope of tokens.",
        json_schema_extra={"shown_default": "`https://vault.azure.net/.default`"},
    )


class ConnectSettings(RemoteStoreSettings):
    connect_url: str | None = Field(
        default=None, description="The server.", json_schema_extra={"shown_default": "$OP_CONNECT_HOST"}
    )
    vault: str = Field(description="The vault's name or id.")
    field: str = Field(default="credential", description="The field of an item.")
    token: str | None = Field(default=None, description="The token, such as `${env:NAME}`.", repr=False)
    token_file: str | None = Field(
        default=None,
        description="The file with the token.",
        json_schema_extra={"shown_default": "$OP_CONNECT_TOKEN"},
    )


class MemoryStoreSettings(Section):
    values: dict[str, str] = Field(default={}, description="The secrets themselves; for tests.", repr=False)
