"""The section `storage`: where state is kept, and how soon it is written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshd.config.schema.base import Duration, NotBuiltYet, OpenSection, Section


class LockingConfig(Section):
    enabled: bool = Field(default=True, description="Take a lock on the state.")
    timeout: Duration = Field(default=10.0, description="Longest wait for it.")
    retry_interval: Duration = Field(default=0.1, description="Time between two attempts to get it.")


class StorageConfig(OpenSection):
    """Keys beyond these belong to the storage connector (`settings`)."""

    connector: str = Field(default="modelmesh.sqlite.v1", description="Storage connector id.")
    sync_policy: Literal["in-memory", "sync-on-boundary", "periodic", "immediate"] = Field(
        default="periodic",
        description="When health and latency are written: `in-memory`, `sync-on-boundary`, `periodic`, `immediate`. "
        "Spend and quota are durable whatever the policy.",
    )
    sync_interval: Duration = Field(default=5.0, description="Time between two writes of the periodic policy.")
    durability: Annotated[Literal["process", "power"], NotBuiltYet("power")] = Field(
        default="process", description="What spend survives: a crash of the process, or of the machine's power."
    )
    format: Annotated[Literal["json", "msgpack"], NotBuiltYet()] = Field(
        default="json", description="Form of what is stored."
    )
    compression: Annotated[bool, NotBuiltYet()] = Field(default=False, description="Compress what is stored.")
    encryption: Annotated[bool, NotBuiltYet()] = Field(default=False, description="Encrypt what is stored.")
    locking: Annotated[LockingConfig, NotBuiltYet()] = Field(
        default=LockingConfig(), description="The lock on the state."
    )
