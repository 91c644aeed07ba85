"""The sinks' own keys, for the sinks that come with the daemon.

Owns: their types, defaults and descriptions; the registry names each by "module:attribute".
Must never: import a sink.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from meshd.config.schema.base import (
    Count,
    Duration,
    HeaderName,
    HeaderValue,
    HttpUrl,
    Mode,
    Names,
    Port,
    Positive,
    Section,
    Size,
)


class FileSinkSettings(Section):
    path: str | None = Field(
        default=None,
        description="The file, with one JSON object per line.",
        json_schema_extra={"shown_default": "`logging.jsonl` or the like in the state directory"},
    )
    max_size: Size = Field(default=50_000_000, description="Size at which the file is rotated; 0: never.")
    rotate_every: Duration = Field(
        default=0.0,
        description="Time after which the file is rotated, counted from midnight UTC if it divides a day.",
        json_schema_extra={"shown_default": "never"},
    )
    keep: Positive = Field(default=5, description="Rotated files that are kept.")


class JsonLogSettings(Section):
    to: Literal["stdout", "stderr"] = Field(default="stdout", description="The stream.")


class SyslogSettings(Section):
    address: str = Field(
        default="/dev/log",
        pattern=r"^(/.+|(udp|tcp|tls)://.+)$",
        description="The path of a UNIX socket, or `udp://HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT`. The ports "
        "514 (UDP), 601 (TCP) and 6514 (TLS) may be left out.",
    )
    facility: Literal[
        "user", "daemon", "auth", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
    ] = Field(default="daemon", description="The facility.")
    app_name: str = Field(default="meshd", pattern=r"^[!-~]{1,48}$", description="The name of the program.")
    content: Literal["json", "text"] = Field(
        default="json", description="All details, as JSON after `@cee:`, or only the line for people."
    )
    timeout: Duration = Field(default=5.0, description="Longest time for connecting or sending.")
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "the system's"}
    )


class WebhookSettings(Section):
    url: HttpUrl = Field(description="Where batches are posted.")
    secret: str | None = Field(
        default=None,
        description="The key for signatures: `whsec_` and base64, or any text. Separate several keys with spaces.",
        json_schema_extra={"shown_default": "none; batches are not signed"},
        repr=False,
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="More headers.", json_schema_extra={"shown_default": "none"}, repr=False
    )
    batch_size: Positive = Field(default=100, description="Most entries in a batch.")
    batch_interval: Duration = Field(default=1.0, description="Longest time that an entry waits for others.")
    timeout: Duration = Field(default=10.0, description="Longest time for a delivery.")
    path: str | None = Field(
        default=None,
        description="The folder for what has not been delivered yet.",
        json_schema_extra={"shown_default": "a folder in the state directory"},
    )
    max_size: Size = Field(default=100_000_000, description="Largest size of that folder.")
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "the system's"}
    )


class OtlpSettings(Section):
    endpoint: HttpUrl = Field(
        default="http://127.0.0.1:4318",
        description="The receiver's address, to which `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="More headers.", json_schema_extra={"shown_default": "none"}, repr=False
    )
    encoding: Literal["protobuf", "json"] = Field(default="protobuf", description="`http/protobuf` or `http/json`.")
    timeout: Duration = Field(default=10.0, description="Longest time for a batch.")
    resource: dict[str, str] = Field(
        default_factory=dict,
        description="Additional resource attributes, such as `deployment.environment.name`.",
        json_schema_extra={"shown_default": "none"},
    )
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "the system's"}
    )


class PrometheusSettings(Section):
    path: str | None = Field(
        default=None,
        description="The file, for node_exporter's textfile collector, instead of `port`. Its name ends in `.prom`.",
    )
    mode: Mode = Field(
        default=0o600, description="Who may read the file.", json_schema_extra={"shown_default": "`0600`"}
    )
    port: Port | None = Field(
        default=None,
        description="The port of 127.0.0.1 on which `/metrics` is served; other machines use the HTTP listener.",
    )
    token: str | None = Field(
        default=None,
        description="What Prometheus sends as a bearer token; required with `port`.",
        repr=False,
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.port is None):
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": "either `path` or `port`"})
        if self.port is not None and not self.token:
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a `token` with `port`"})
        return self


class CallbackSettings(Section):
    function: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$",
        description="`module:function`, called with each entry, a map.",
    )
    timeout: Duration = Field(default=5.0, description="Longest time for a call.")
    environment: Names = Field(
        default=(),
        description="Environment variables of the daemon that the function needs, besides PATH, HOME and the like.",
    )
    restarts: Count = Field(default=1, description="How many times an entry is retried if its call ended the process.")
