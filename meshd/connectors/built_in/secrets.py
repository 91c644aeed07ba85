"""The secret stores that come with the daemon.

Owns: this table. Must never: import a store.
"""

from __future__ import annotations

from meshd.connectors.built_in.settings import Specs
from meshd.sdk.connector import SECRET_STORE

_spec = Specs(SECRET_STORE, "meshd.connectors.secrets", "secret_settings")

SECRET_STORES = (
    _spec(
        "modelmesh.env.v1",
        "env:EnvStore",
        "The daemon's environment; `NAME_FILE` names a file",
        "EnvStoreSettings",
    ),
    _spec("modelmesh.dotenv.v1", "dotenv:DotenvStore", "A .env file", "DotenvStoreSettings"),
    _spec(
        "modelmesh.directory.v1",
        "directory:DirectoryStore",
        "A directory with a file for each secret, as Docker and Kubernetes mount them",
        "DirectoryStoreSettings",
    ),
    _spec(
        "systemd.credentials.v1",
        "systemd:SystemdCredentialsStore",
        "systemd's LoadCredential= and LoadCredentialEncrypted=",
    ),
    _spec(
        "modelmesh.memory-secrets.v1",
        "memory:MemoryStore",
        "Values given in the configuration, for tests",
        "MemoryStoreSettings",
    ),
    _spec(
        "modelmesh.json-secrets.v1",
        "local.json_file:JsonStore",
        "An object in a JSON file",
        "JsonStoreSettings",
    ),
    _spec(
        "modelmesh.encrypted-file.v1",
        "local.encrypted_file:EncryptedFileStore",
        "A file encrypted with AES-256-GCM, with a passphrase or a key",
        "EncryptedFileSettings",
        requires=("cryptography",),
        extra="secrets",
    ),
    _spec(
        "modelmesh.keyring.v1",
        "local.keyring_store:KeyringStore",
        "The desktop's keyring",
        "KeyringSettings",
        ("keyring",),
        requires=("keyring",),
        extra="secrets",
    ),
    _spec(
        "modelmesh.command.v1",
        "programs.command:CommandStore",
        "What a command prints",
        "CommandStoreSettings",
        ("command",),
    ),
    _spec(
        "passwordstore.pass.v1",
        "programs.passwordstore:PassStore",
        "The standard UNIX password manager, pass",
        "PassSettings",
        ("pass",),
    ),
    _spec(
        "1password.cli.v1",
        "programs.onepassword:OpStore",
        "1Password, through its program op",
        "OpSettings",
        ("op",),
    ),
    _spec(
        "1password.connect.v1",
        "remote.onepassword:ConnectStore",
        "1Password, through a Connect server",
        "ConnectSettings",
    ),
    _spec(
        "hashicorp.vault.v1",
        "remote.vault:VaultStore",
        "HashiCorp Vault and OpenBao (KV version 2)",
        "VaultSettings",
        ("openbao.vault.v1", "vault", "openbao"),
    ),
    _spec(
        "aws.secrets-manager.v1",
        "remote.aws:SecretsManagerStore",
        "AWS Secrets Manager",
        "AwsStoreSettings",
        requires=("botocore",),
        extra="aws",
    ),
    _spec(
        "aws.parameter-store.v1",
        "remote.aws:ParameterStore",
        "AWS Systems Manager's parameter store",
        "AwsStoreSettings",
        ("aws.ssm.v1",),
        requires=("botocore",),
        extra="aws",
    ),
    _spec(
        "google.secret-manager.v1",
        "remote.google:GoogleStore",
        "Google Cloud's Secret Manager",
        "GoogleStoreSettings",
        requires=("google.auth", "requests"),
        extra="google",
    ),
    _spec(
        "microsoft.key-vault.v1",
        "remote.azure:KeyVaultStore",
        "Azure Key Vault",
        "KeyVaultSettings",
        ("azure.key-vault.v1",),
        requires=("azure.identity",),
        extra="azure",
    ),
)
