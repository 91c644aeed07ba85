"""The whole file: its top-level sections, and `daemon`, the one about the process itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from meshd.config.schema.access import AppConfig, ConnectorsConfig, CurveKey
from meshd.config.schema.base import Duration, Entries, Mode, Names, Positive, Section, Size, as_list
from meshd.config.schema.connectors.stores import (
    BatchesConfig,
    KeptFilesConfig,
    ResponsesConfig,
    SecretsConfig,
    StorageConfig,
)
from meshd.config.schema.discovery import DiscoveryConfig
from meshd.config.schema.observability import ObservabilityConfig
from meshd.config.schema.proxy import ProxyConfig
from meshd.config.schema.routing.models import ModelConfig
from meshd.config.schema.routing.pools import PoolConfig
from meshd.config.schema.routing.providers import ProviderConfig


class CurveClient(Section):
    app: str = Field(description="The app that holds it: its entry in `apps`.")
    key: CurveKey = Field(description="The client's public key, as `meshctl curve create` prints it.")


class CurveConfig(Section):
    secret_key: str | None = Field(
        default=None, description="The daemon's secret key, as `${secrets:NAME}`.", repr=False
    )
    secret_key_file: str | None = Field(
        default=None,
        description="File with the secret key, which other users must not be able to read; `meshctl curve daemon` "
        "creates one. A reload reads it again.",
    )
    public_key: CurveKey | None = Field(
        default=None,
        description="The daemon's public key. If it is set, a secret key that does not belong to it is refused.",
        json_schema_extra={"shown_default": "derived from the secret key"},
    )
    allowed_clients: tuple[CurveClient, ...] = Field(
        default=(),
        description="Public keys that are admitted, each with its app; see also `apps.NAME.match.curve_key`.",
    )

    @property
    def given(self) -> bool:
        """Whether there is a secret key."""
        return bool(self.secret_key or self.secret_key_file)


class DaemonConfig(Section):
    socket: str | None = Field(
        default=None,
        description="Path of the socket.",
        json_schema_extra={"shown_default": "`$RUNTIME_DIRECTORY/mesh.sock`, else `$XDG_RUNTIME_DIR/meshd/mesh.sock`"},
    )
    socket_mode: Mode = Field(default=0o660, description="Its permissions.")
    socket_group: str | None = Field(default=None, description="Its group.")
    listen: Annotated[Names, BeforeValidator(as_list)] = Field(
        default=(),
        description="Further addresses of the socket: `tcp://ADDRESS:PORT`, with CURVE (`curve`) or only on loopback, "
        "and `ipc:///PATH`, with the socket's permissions and group. `*` as a port takes any free one.",
    )
    curve: CurveConfig = Field(
        default=CurveConfig.unset(), description="Encryption and keys of clients at all `tcp://` addresses."
    )
    max_inflight: Positive = Field(default=4096, description="Most requests in flight.")
    max_queue: Positive = Field(default=1024, description="Most requests that wait at a provider's limit.")
    queue_timeout: Duration = Field(default=30.0, description="Longest time that a request waits there.")
    timezone: str = Field(default="UTC", description="Time zone of the days and months of budgets and quotas.")
    max_message_size: Size = Field(default=64 * 1024**2, description="Largest message.")
    request_timeout: Duration = Field(
        default=600.0, description="Longest time that a request may take, all attempts together."
    )
    drain_timeout: Duration = Field(
        default=30.0, description="How long requests in flight may take to finish when the daemon stops."
    )
    state_dir: str | None = Field(
        default=None,
        description="Where state is kept.",
        json_schema_extra={"shown_default": "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/meshd`"},
    )
    strict: bool = Field(
        default=True,
        description="Refuse to run with files that users other than root and the daemon's own can change: the "
        "configuration, keys, weights, state, the place of the socket, Python's packages. With `false`, "
        "each such file causes only a warning. A reload accepts `false` only from a file that others "
        "cannot change.",
    )
    dumpable: bool = Field(
        default=False,
        description="Let other processes of the daemon's user read its memory, for debuggers and profilers such as "
        "py-spy. That memory contains keys and prompts.",
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        default="info", description="Lowest severity logged."
    )
    watch: bool = Field(default=True, description="Reload when the file changes.")
    watch_debounce: Duration = Field(
        default=0.2, description="How long the file has to stay unchanged before it is read."
    )


class RootConfig(Section):
    include: Annotated[Names, BeforeValidator(as_list)] = Field(
        default=(),
        description="Other files, or patterns such as `providers/*.yaml`, relative to this file's folder. This "
        "file's own values override theirs.",
    )
    profiles: dict[str, Any] = Field(
        default={},
        description="Sections by profile name, which override the others if MESHD_PROFILE names the profile.",
    )
    secrets: SecretsConfig = Field(default=SecretsConfig.unset(), description="Where keys come from.")
    providers: dict[str, ProviderConfig] = Field(default={}, description="Services that run models, by name.")
    models: dict[str, ModelConfig] = Field(default={}, description="Models, by id.")
    pools: dict[str, PoolConfig] = Field(default={}, description="Which models serve a capability, by name.")
    aliases: dict[str, str] = Field(
        default={},
        description="Other names that apps may ask for, and the pool, capability or model that each stands for.",
    )
    storage: StorageConfig = Field(default=StorageConfig.unset(), description="Where state is kept.")
    responses: ResponsesConfig = Field(
        default=ResponsesConfig.unset(), description="Responses that apps retrieve or continue by their ids."
    )
    files: KeptFilesConfig = Field(
        default=KeptFilesConfig.unset(), description="Files that apps upload, and the results of their batches."
    )
    batches: BatchesConfig = Field(
        default=BatchesConfig.unset(), description="Batches of requests, which the daemon runs in the background."
    )
    observability: ObservabilityConfig = Field(
        default=ObservabilityConfig.unset(), description="Events, logs and statistics."
    )
    discovery: DiscoveryConfig = Field(
        default=DiscoveryConfig.unset(), description="Model lists, probes, local servers."
    )
    hooks: Entries = Field(
        default=(),
        description="Hooks that see each request between app and provider, in this order: a connector id, or a list; "
        "an entry may be a map with `connector` and its own keys.",
    )
    connectors: ConnectorsConfig = Field(default=ConnectorsConfig.unset(), description="Connector packages.")
    proxy: ProxyConfig = Field(default=ProxyConfig.unset(), description="The HTTP listener.")
    capabilities: dict[str, Any] = Field(
        default={}, description="Nodes added to the capability tree: a map of parents to lists or maps of children."
    )
    apps: dict[str, AppConfig] = Field(default={}, description="What each app may do, by name.")
    daemon: DaemonConfig = Field(default=DaemonConfig.unset(), description="The socket and the process.")
