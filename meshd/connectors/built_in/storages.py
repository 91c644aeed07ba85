"""The storages that come with the daemon.

Owns: this table. Must never: import a storage.
"""

from __future__ import annotations

from meshd.connectors.built_in.settings import Specs
from meshd.sdk.connector import STORAGE

_spec = Specs(STORAGE, "meshd.connectors.storage", "storage_settings")

STORAGES = (
    _spec("modelmesh.sqlite.v1", "sqlite:SqliteStorage", "One SQLite file", "SqliteSettings"),
    _spec("modelmesh.memory.v1", "memory:MemoryStorage", "Nothing is kept across a restart"),
    _spec("modelmesh.local-file.v1", "local_file:LocalFileStorage", "Files, replaced atomically", "LocalFileSettings"),
    _spec(
        "redis.redis.v1",
        "redis:RedisStorage",
        "Redis or Valkey",
        "RedisSettings",
        ("valkey.valkey.v1",),
        requires=("redis",),
        extra="redis",
    ),
    _spec(
        "postgresql.postgresql.v1",
        "postgresql:PostgresqlStorage",
        "Two tables in a PostgreSQL database",
        "PostgresqlSettings",
        requires=("psycopg",),
        extra="postgresql",
    ),
    _spec(
        "aws.s3.v1",
        "s3:S3Storage",
        "An S3 bucket, at AWS or any other server that speaks S3",
        "S3Settings",
        requires=("botocore",),
        extra="aws",
    ),
    _spec(
        "google.drive.v1",
        "google_drive:GoogleDriveStorage",
        "A folder in Google Drive",
        "GoogleDriveSettings",
        requires=("google.auth", "requests"),
        extra="google",
    ),
)
