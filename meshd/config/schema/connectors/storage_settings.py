"""The storages' own keys, for the storages that come with the daemon.

Owns: their types, defaults and descriptions; the registry names each by "module:attribute".
Must never: import a storage.
"""

from __future__ import annotations

from pydantic import Field

from meshd.config.schema.base import Duration, HttpUrl, Section


class LocalFileSettings(Section):
    path: str | None = Field(
        default=None, description="The folder.", json_schema_extra={"shown_default": "the state directory"}
    )
    backup: bool = Field(default=False, description="Keep the previous version of each file.")


class RedisSettings(Section):
    url: str = Field(
        default="redis://127.0.0.1:6379/0",
        pattern=r"^(rediss?|unix)://",
        description="The server: `redis://HOST:PORT/DATABASE`, `rediss://…` (TLS) or `unix:///PATH`.",
        repr=False,
    )
    username: str | None = Field(default=None, description="Its user, if it has users.")
    password: str | None = Field(default=None, description="Its password, such as `${secrets:NAME}`.", repr=False)
    prefix: str = Field(default="meshd", description="Prefix of the names of its keys.")
    shared: bool = Field(
        default=True,
        description="Other daemons may use it at the same time; together, they keep to the same budgets and quotas.",
    )
    node: str | None = Field(
        default=None,
        description="This daemon's name among those that share it.",
        json_schema_extra={"shown_default": "the machine's"},
    )
    timeout: Duration = Field(default=2.0, description="How long it may take for an answer.")
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "the system's"}
    )
    cert_file: str | None = Field(default=None, description="The daemon's own certificate, if the server asks for it.")
    key_file: str | None = Field(default=None, description="The key of that certificate.")


class PostgresqlSettings(Section):
    url: str = Field(
        default="postgresql://",
        description="The database: `postgresql://USER@HOST:PORT/NAME`, or `host=… dbname=…`. libpq's "
        "variables fill in what is missing.",
        repr=False,
    )
    password: str | None = Field(default=None, description="Its password, such as `${secrets:NAME}`.", repr=False)
    table: str = Field(
        default="meshd_state",
        pattern=r"^\w{1,50}$",
        description="The table for the values, which is created if it is missing.",
    )
    timeout: Duration = Field(default=5.0, description="How long it may take for an answer.")
    ca_file: str | None = Field(default=None, description="Certificates to trust; libpq's `sslrootcert`.")
    cert_file: str | None = Field(default=None, description="The daemon's own certificate, if the server asks for it.")
    key_file: str | None = Field(default=None, description="The key of that certificate.")


class S3Settings(Section):
    bucket: str = Field(description="The bucket.")
    prefix: str = Field(default="meshd/", description="Prefix of the names of its objects.")
    region: str | None = Field(
        default=None, description="The region.", json_schema_extra={"shown_default": "that of AWS's environment"}
    )
    profile: str | None = Field(default=None, description="A profile of AWS's own configuration.")
    endpoint_url: HttpUrl | None = Field(
        default=None, description="Another server that speaks S3.", json_schema_extra={"shown_default": "AWS"}
    )
    access_key_id: str | None = Field(
        default=None,
        description="The id of the access key.",
        json_schema_extra={"shown_default": "found as AWS's tools find it"},
    )
    secret_access_key: str | None = Field(
        default=None, description="The secret access key, such as `${secrets:NAME}`.", repr=False
    )
    timeout: Duration = Field(default=10.0, description="How long it may take for an answer.")
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "AWS's"}
    )


class GoogleDriveSettings(Section):
    folder_id: str | None = Field(
        default=None,
        pattern=r"^[\w-]+$",
        description="The folder's id: the end of its address. The account needs write access to it.",
        json_schema_extra={"shown_default": "the hidden folder that Drive has for each app"},
    )
    credentials_file: str | None = Field(
        default=None,
        description="The credentials, readable only by their owner.",
        json_schema_extra={"shown_default": "those of the environment, else of the machine"},
    )
    endpoint_url: HttpUrl | None = Field(
        default=None, description="Another server.", json_schema_extra={"shown_default": "Google's"}
    )
    timeout: Duration = Field(default=10.0, description="How long it may take for an answer.")
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "the system's"}
    )
