"""The sections `proxy` (the HTTP listener), `apps` (who may do what) and `connectors` (packages)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshd.config.schema.base import Count, Key, Names, NotBuiltYet, Port, Positive, Section, Size, Weight
from meshd.config.schema.money import BudgetConfig


class ProxyToken(Section):
    app: str = Field(description="The app that holds it.")
    token: Key = Field(description="The token.", repr=False)


class ProxyAuthConfig(Section):
    method: Literal["none", "bearer"] = Field(default="none", description="`none` on loopback and UNIX sockets only.")
    tokens: tuple[ProxyToken, ...] = Field(default=(), description="Tokens, each with the name of its app.", repr=False)


class CorsConfig(Section):
    enabled: bool = Field(default=False, description="Answer browsers from other origins.")
    origins: Names = Field(default=(), description="Which origins.")


class ProxyConfig(Section):
    enabled: bool = Field(default=False, description="Listen for HTTP.")
    host: str = Field(default="127.0.0.1", description="Address. Any other than loopback needs `auth`.")
    port: Port = Field(default=8741, description="Port.")
    socket: str | None = Field(default=None, description="Path of a UNIX socket that speaks HTTP.")
    endpoints: Names = Field(default=(), description="Which endpoints.", json_schema_extra={"shown_default": "all"})
    auth: ProxyAuthConfig = Field(default=ProxyAuthConfig(), description="Who may connect.")
    cors: CorsConfig = Field(default=CorsConfig(), description="Browsers.")
    max_body: Size = Field(default=64 * 1024**2, description="Largest request.")
    dashboard: bool = Field(default=False, description="Serve the dashboard.")


class AppMatch(Section):
    """All given keys have to match a process when it connects; later changes of the process have no effect."""

    uid: Count | None = Field(default=None, description="User id.")
    user: str | None = Field(default=None, description="User name.")
    gid: Count | None = Field(default=None, description="Group id, the process's own or a supplementary one.")
    group: str | None = Field(default=None, description="Group name.")
    exe: str | None = Field(
        default=None,
        description="Path of the program. It tells programs apart, not people: anyone who may run it can pose as it.",
    )
    unit: str | None = Field(
        default=None,
        description="systemd unit, or a pattern such as `mail@*.service`; a user's own unit only with `uid` or `user`.",
    )
    token: Annotated[str | None, NotBuiltYet()] = Field(default=None, description="HTTP token.", repr=False)


class AppRateLimitConfig(Section):
    rpm: Positive | None = Field(default=None, description="Requests a minute, to all models together.")
    tpm: Positive | None = Field(default=None, description="Tokens a minute, to all models together.")
    concurrency: Positive | None = Field(default=None, description="Requests at once; the same as `concurrency`.")


class AppConfig(Section):
    match: AppMatch = Field(
        default=AppMatch(), description="Which processes belong to the app, by what the kernel says about them."
    )
    pools: Names | None = Field(default=None, description="Allowed pools.", json_schema_extra={"shown_default": "all"})
    models: Names | None = Field(
        default=None,
        description="Allowed models, also within a pool.",
        json_schema_extra={"shown_default": "those of the allowed pools"},
    )
    budget: BudgetConfig = Field(default=BudgetConfig(), description="Spending limits.")
    rate_limit: AppRateLimitConfig = Field(default=AppRateLimitConfig(), description="Limits.")
    concurrency: Positive | None = Field(default=None, description="Requests at once.")
    priority: int = Field(default=0, description="Apps with a higher priority are served first.")
    weight: Weight = Field(default=1.0, description="Share under contention.")
    max_message_size: Size | None = Field(
        default=None,
        description="Largest message, up to `daemon.max_message_size`.",
        json_schema_extra={
            "shown_default": "`1MiB`; `daemon.max_message_size` for root, the daemon's user and `admin`"
        },
    )
    admin: bool = Field(default=False, description="It may give the daemon commands, and sees every app.")


class PackageConfig(Section):
    path: str | None = Field(default=None, description="Path of a zip package.")
    url: str | None = Field(default=None, description="Its URL.")
    sha256: str = Field(description="Its checksum.")


class ConnectorsConfig(Section):
    packages: Annotated[tuple[PackageConfig, ...], NotBuiltYet()] = Field(
        default=(), description="Zip packages of connectors, each with a mandatory `sha256`."
    )
