"""The section `proxy`: the HTTP listener."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from meshd.config.schema.base import Duration, Names, Section, Size

_DIGEST = re.compile(r"[0-9a-f]{64}")


def _hash(value: str) -> str:
    digest = value.strip().lower().removeprefix("sha256:")
    if not _DIGEST.fullmatch(digest):
        raise PydanticCustomError(
            "meshd", "is not the hash of a token (64 hexadecimal digits); `meshctl token create` makes both"
        )
    return digest


def _endpoint(value: str) -> str:
    if not value.startswith("/"):
        raise PydanticCustomError("meshd", "is not a path, such as /v1/chat/completions or /v1/*")
    return value


def _port(value: Any) -> Any:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
    if value == "auto" or (isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 65535):
        return number
    raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a port from 1 to 65535, or auto"})


AnyPort = Annotated[
    int | Literal["auto"],
    BeforeValidator(_port),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}]}),
]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
TokenHash = Annotated[str, AfterValidator(_hash)]
"""A token's SHA-256 in hexadecimal digits, also after `sha256:`."""


class ProxyToken(Section):
    app: str = Field(
        description="The app that holds it: its entry in `apps`, or a new name with the rules of `apps.default`."
    )
    hash: TokenHash = Field(description="The token's SHA-256, as `meshctl token create` prints it.", repr=False)


class ProxyAuthConfig(Section):
    method: Literal["kernel", "bearer"] = Field(
        default="kernel",
        description="`kernel`: the kernel identifies callers on this machine; over TCP, only the daemon's own user and "
        "root are admitted without a token. `bearer`: over TCP, everyone needs a token.",
    )
    tokens: tuple[ProxyToken, ...] = Field(default=(), description="Tokens, each with the name of its app.", repr=False)


class TlsConfig(Section):
    cert: str | None = Field(default=None, description="File with the certificate and its chain.")
    key: str | None = Field(
        default=None, description="File with its key.", json_schema_extra={"shown_default": "in the certificate's file"}
    )


class CorsConfig(Section):
    enabled: bool = Field(default=False, description="Answer web pages of other origins.")
    origins: Names = Field(default=(), description="The origins, such as `http://localhost:3000`.")


class ProxyConfig(Section):
    enabled: bool | None = Field(
        default=None,
        description="Listen for HTTP.",
        json_schema_extra={"shown_default": "`true` for a daemon at its user's default socket, else `false`"},
    )
    host: str = Field(
        default="127.0.0.1",
        description="IP address, or `localhost`. Any address other than loopback needs `auth.method: bearer` and TLS.",
    )
    port: AnyPort = Field(default=8741, description="Port. `auto` takes any free one; `meshctl status` shows which.")
    socket: str | None = Field(
        default=None,
        description="Path of a UNIX socket for HTTP.",
        json_schema_extra={"shown_default": "`http.sock` next to the mesh socket, for a daemon at its user's default"},
    )
    endpoints: tuple[Endpoint, ...] = Field(
        default=(),
        description="The paths to offer, such as `/v1/chat/completions`; `*` stands for any text (`/v1/*`). No other "
        "path exists over HTTP.",
        json_schema_extra={"shown_default": "all"},
    )
    auth: ProxyAuthConfig = Field(default=ProxyAuthConfig.unset(), description="Who may connect.")
    tls: TlsConfig = Field(default=TlsConfig.unset(), description="TLS.")
    cors: CorsConfig = Field(default=CorsConfig.unset(), description="Browsers.")
    max_body: Size = Field(
        default=64 * 1024**2, description="Largest body; `daemon.max_message_size` and the app's own limit apply too."
    )
    keepalive: Duration = Field(default=75.0, description="How long a connection without requests stays open.")
    dashboard: bool = Field(
        default=True,
        description="Serve the dashboard (`meshctl dashboard`), and the mesh's own operations over HTTP, to those who "
        "may use them over the socket.",
    )
