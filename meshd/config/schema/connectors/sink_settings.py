"""The sinks' own keys, for the sinks that come with the daemon.

Owns: their types, defaults and descriptions; the registry names each by "module:attribute".
Must never: import a sink. A text with a reference (`${…}`) is checked when it has its value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
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
from meshd.core.webhook_key import key_of

_ADDRESS = r"^(/.+|(udp|tcp|tls)://.+)$"
_APP_NAME = r"^[!-~]{1,48}$"
_FUNCTION = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
_LONGEST_SOCKET = 107  # bytes of its path


def _where(fits: Callable[[str], bool], expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if "${" not in value and not fits(value):
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": expected})
        return value

    return AfterValidator(check)


def _is_address(value: str) -> bool:
    if not re.search(_ADDRESS, value):
        return False
    try:
        return value.startswith("/") or urlsplit(value).port != 0
    except ValueError:  # not a port, or half an IPv6 address
        return False


def _short_enough(value: str) -> str:
    if value.startswith("/") and len(value.encode()) > _LONGEST_SOCKET:
        raise PydanticCustomError("meshd", "is too long: the path of a socket has at most 107 bytes")
    return value


def _secret(value: str) -> str:
    for each in value.split():
        try:
            key = each if "${" in each else key_of(each)
        except ValueError:
            key = b""
        if not key:
            raise PydanticCustomError("meshd", "begins with whsec_, but base64 does not follow")
    return value


def _is_directory(value: str) -> bool:
    return "${" not in value and os.path.isdir(os.path.expanduser(value))  # unlike Path's, this never raises


def _file(value: str) -> str:
    if _is_directory(value):
        raise PydanticCustomError("meshd", "is a directory, not a file")
    return value


def _folder(value: str) -> str:
    if "${" not in value and os.path.exists(os.path.expanduser(value)) and not _is_directory(value):
        raise PydanticCustomError("meshd", "is a file, not a directory")
    return value


_File = Annotated[str, AfterValidator(_file)]
_Folder = Annotated[str, AfterValidator(_folder)]
_Address = Annotated[
    str,
    _where(_is_address, "the path of a UNIX socket, or udp://, tcp:// or tls:// with a host and a port up to 65535"),
    AfterValidator(_short_enough),
]


class FileSinkSettings(Section):
    path: _File | None = Field(
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
    address: _Address = Field(
        default="/dev/log",
        json_schema_extra={"pattern": _ADDRESS},
        description="The path of a UNIX socket, or `udp://HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT`. The ports "
        "514 (UDP), 601 (TCP) and 6514 (TLS) may be left out.",
    )
    facility: Literal[
        "user", "daemon", "auth", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
    ] = Field(default="daemon", description="The facility.")
    app_name: Annotated[
        str, _where(lambda name: bool(re.search(_APP_NAME, name)), "1 to 48 ASCII characters without spaces")
    ] = Field(default="meshd", json_schema_extra={"pattern": _APP_NAME}, description="The name of the program.")
    content: Literal["json", "text"] = Field(
        default="json", description="All details, as JSON after `@cee:`, or only the line for people."
    )
    timeout: Duration = Field(default=5.0, description="Longest time for connecting or sending.")
    ca_file: str | None = Field(
        default=None, description="Certificates to trust.", json_schema_extra={"shown_default": "the system's"}
    )


class WebhookSettings(Section):
    url: HttpUrl = Field(description="Where batches are posted.")
    secret: Annotated[str, AfterValidator(_secret)] | None = Field(
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
    path: _Folder | None = Field(
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
    path: _File | None = Field(
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
    function: Annotated[
        str, _where(lambda name: bool(re.search(_FUNCTION, name)), "a module, a colon and the name of a function in it")
    ] = Field(
        json_schema_extra={"pattern": _FUNCTION},
        description="`module:function`, called with each entry, a map.",
    )
    timeout: Duration = Field(default=5.0, description="Longest time for a call.")
    environment: Names = Field(
        default=(),
        description="Environment variables of the daemon that the function needs, besides PATH, HOME and the like.",
    )
    restarts: Count = Field(default=1, description="How many times an entry is retried if its call ended the process.")
