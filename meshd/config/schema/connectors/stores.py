"""The sections `secrets` (where keys come from) and `storage` (where state is kept), and what is kept for apps:
`responses`, `files` and `batches`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meshd.config.schema.base import (
    ConnectorEntry,
    Duration,
    Entries,
    Fraction,
    OpenSection,
    Positive,
    Section,
    Size,
)


class SecretsConfig(OpenSection):
    """Where secrets come from. store: the stores, in the order in which they are searched."""

    store: Entries = Field(
        default=(ConnectorEntry(connector="modelmesh.env.v1"),),
        description="Secret store: a connector id, or a list tried in order. An entry may be a map with "
        "`connector` and that store's own keys.",
        json_schema_extra={"shown_default": "modelmesh.env.v1"},
    )
    cache_ttl: Duration = Field(
        default=300.0,
        description="How long a resolved value is kept in memory. Then stores outside this process are asked again.",
    )
    cache_enabled: bool = Field(default=True, description="Keep resolved values in memory.")
    timeout: Duration = Field(
        default=4.0,
        description="How long a store outside this process may take to answer. All secrets together get 15 s.",
    )
    reload_on_rotation: bool = Field(
        default=True, description="Resolve secrets again when a standby provider becomes active."
    )
    fail_on_missing: bool = Field(
        default=False,
        description="Whether a missing secret is a configuration error. With `false`, the provider that needs it is "
        "left out. If this key is not set, `meshd --check` still reports an error.",
    )


class LockingConfig(Section):
    enabled: bool = Field(
        default=True, description="Take a lease on a storage that another daemon may use, and renew it."
    )
    timeout: Duration = Field(
        default=10.0,
        description="How long the daemon waits at its start while another daemon holds the lease. After that, the "
        "start fails.",
    )
    retry_interval: Duration = Field(default=0.5, description="Time between two attempts to get the lease.")


class EncryptionConfig(Section):
    """With a key, what is stored is encrypted."""

    key: str | None = Field(
        default=None,
        description="32 bytes in hexadecimal or base64, such as `${secrets:STATE_KEY}`: stored data is encrypted with "
        "AES-256-GCM.",
        repr=False,
    )
    key_file: str | None = Field(default=None, description="A file with the key, instead of `key`.")


class StorageConfig(OpenSection):
    """Keys beyond these belong to the storage connector (`settings`)."""

    connector: str = Field(default="modelmesh.sqlite.v1", description="Storage connector id.")
    sync_policy: Literal["in-memory", "sync-on-boundary", "periodic", "immediate"] = Field(
        default="periodic",
        description="When health and latency are written: `in-memory`, `sync-on-boundary`, `periodic`, `immediate`. "
        "Spend, quotas, files, batches and responses are durable with every policy.",
    )
    sync_interval: Duration = Field(default=5.0, description="Time between two writes of the periodic policy.")
    durability: Literal["process", "power"] = Field(
        default="process",
        description="Which crash recorded spend survives: one of the `process`; or, with `power`, also one of the "
        "machine, for which each attempt waits until its record is on the disk.",
    )
    format: Literal["json", "msgpack"] = Field(default="json", description="Format of stored data.")
    compression: Literal["none", "zstd"] = Field(default="none", description="Compression of stored data.")
    encryption: EncryptionConfig = Field(
        default=EncryptionConfig.unset(), description="Encryption of stored data; none by default."
    )
    locking: LockingConfig = Field(
        default=LockingConfig.unset(), description="The lease that keeps two daemons from using one storage."
    )


class ResponsesConfig(Section):
    enabled: bool = Field(
        default=True,
        description="Keep responses, unless an app sends `store: false`. With `false`, none is kept, and earlier ones "
        "are dropped.",
    )
    max_size: Size = Field(
        default=32 * 1024**2,
        description="Bytes of all responses, in memory and in the state store, and of the events of those that were "
        "streamed in the background, in memory. When they exceed it, the user with the most loses the least "
        "recently used ones. One response takes at most a quarter, and so do its events.",
    )
    max_count: Positive = Field(default=4096, description="Largest number of responses.")
    ttl: Duration = Field(default=604800.0, description="How long each is kept.")


class KeptFilesConfig(Section):
    enabled: bool = Field(default=True, description="Keep files that apps upload, and results of batches.")
    max_size: Size = Field(default=200 * 1024**2, description="Bytes of one file.")
    max_user_size: Size = Field(
        default=1024**3, description="Bytes of all files of one user or token, and of results that are being written."
    )
    max_total_size: Size = Field(default=4 * 1024**3, description="Bytes of all files of all users.")
    max_user_count: Positive = Field(default=1024, description="Files of one user or token.")
    max_count: Positive = Field(default=8192, description="Files of all users.")
    ttl: Duration = Field(default=2592000.0, description="How long each is kept, unless an app asks for less.")


class BatchesConfig(Section):
    enabled: bool = Field(default=True, description="Run batches of requests.")
    max_lines: Positive = Field(default=50_000, description="Requests in one batch.")
    max_inflight: Positive = Field(
        default=8, description="Requests of all batches that are in flight at once; users take turns."
    )
    rate_share: Fraction = Field(
        default=0.8,
        description="Fraction of each limit on requests, tokens and concurrency that requests of batches may fill; the "
        "rest is kept for requests that apps wait for.",
    )
    max_user_open: Positive = Field(default=16, description="Batches of one user or token that have not ended.")
    max_open: Positive = Field(default=128, description="Batches of all users that have not ended.")
    max_window: Duration = Field(default=604800.0, description="Longest `completion_window` that an app may ask for.")
    ttl: Duration = Field(default=2592000.0, description="How long a batch that has ended is listed.")
