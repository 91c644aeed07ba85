"""The sections `proxy` (the HTTP listener), `apps` (who may do what) and `connectors` (packages)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshd.config.schema.base import Count, Names, NotBuiltYet, Port, Positive, Section, Size, Weight
from meshd.config.schema.providers import BudgetConfig, ProviderRateLimitConfig


class ProxyToken(Section):
    app: str = Field(description="The app that holds it.")
    token: str = Field(description="The token.", repr=False)


class ProxyAuthConfig(Section):
    method: Literal["none", "bearer"] = Field("none", description="`none` on loopback and UNIX sockets only.")
    tokens: tuple[ProxyToken, ...] = Field((), description="Each with an app's name.", repr=False)


class CorsConfig(Section):
    enabled: bool = Field(False, description="Answer browsers of other origins.")
    origins: Names = Field((), description="Which origins.")


class ProxyConfig(Section):
    enabled: bool = Field(False, description="Listen for HTTP.")
    host: str = Field("127.0.0.1", description="Address; another than loopback needs `auth`.")
    port: Port = Field(8741, description="Port.")
    socket: str | None = Field(None, description="Path of a UNIX socket that speaks HTTP.")
    endpoints: Names = Field((), description="Which endpoints.", json_schema_extra={"shown_default": "all"})
    auth: ProxyAuthConfig = Field(ProxyAuthConfig(), description="Who is let in.")
    cors: CorsConfig = Field(CorsConfig(), description="Browsers.")
    max_body: Size = Field(64 * 1024**2, description="Largest request.")
    dashboard: bool = Field(False, description="Serve the dashboard.")


class AppMatch(Section):
    uid: Count | None = Field(None, description="User id.")
    user: str | None = Field(None, description="User name.")
    gid: Count | None = Field(None, description="Group id.")
    group: str | None = Field(None, description="Group name.")
    exe: str | None = Field(None, description="Path of the executable.")
    unit: str | None = Field(None, description="systemd unit.")
    token: str | None = Field(None, description="HTTP token.", repr=False)


class AppConfig(Section):
    match: AppMatch = Field(AppMatch(), description="Whom it concerns, by what the kernel says of the caller.")
    pools: Names | None = Field(None, description="Allowed pools.", json_schema_extra={"shown_default": "all"})
    models: Names | None = Field(None, description="Allowed models.", json_schema_extra={"shown_default": "all"})
    budget: BudgetConfig = Field(BudgetConfig(), description="Spending limits.")
    rate_limit: ProviderRateLimitConfig = Field(ProviderRateLimitConfig(), description="Limits.")
    concurrency: Positive | None = Field(None, description="Requests at once.")
    priority: int = Field(0, description="Higher is served first.")
    weight: Weight = Field(1.0, description="Share under contention.")
    admin: bool = Field(False, description="May give the daemon commands.")


class PackageConfig(Section):
    path: str | None = Field(None, description="Path of a zip package.")
    url: str | None = Field(None, description="Its URL.")
    sha256: str = Field(description="Its checksum.")


class ConnectorsConfig(Section):
    packages: Annotated[tuple[PackageConfig, ...], NotBuiltYet()] = Field(
        (), description="Zip packages of connectors, each with a mandatory `sha256`."
    )
