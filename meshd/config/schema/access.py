"""The sections `apps` (who may do what) and `connectors` (packages)."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from meshd.config.schema.base import Count, Names, Positive, Section, Size, Weight, as_list
from meshd.config.schema.money import BudgetConfig
from meshd.config.schema.proxy import TokenHash
from meshd.core.text.z85 import decode_key
from meshd.routing.table.specs import ANY_APP


def _curve_key(value: str) -> str:
    try:
        decode_key(value.strip())
    except ValueError as error:
        raise PydanticCustomError(
            "meshd", "{problem}; `meshctl curve create` makes one", {"problem": str(error)}
        ) from None
    return value.strip()


CurveKey = Annotated[str, AfterValidator(_curve_key)]
"""A CurveZMQ key in Z85."""


_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class AppMatch(Section):
    """All given keys have to match a process when it connects; later changes of the process have no effect."""

    uid: Count | None = Field(default=None, description="User id.")
    user: str | None = Field(default=None, description="User name.")
    gid: Count | None = Field(default=None, description="Group id, the process's own or a supplementary one.")
    group: str | None = Field(default=None, description="Group name.")
    exe: str | None = Field(
        default=None,
        description="Path of the program. It distinguishes programs, not people: anyone who may run the program can "
        "pose as it.",
    )
    unit: str | None = Field(
        default=None,
        description="systemd unit, or a pattern such as `mail@*.service`; a user's own unit only with `uid` or `user`.",
    )
    token: TokenHash | None = Field(
        default=None,
        description="SHA-256 of a token for HTTP, as `meshctl token create` prints it; instead of the other keys.",
        repr=False,
    )
    curve_key: Annotated[tuple[CurveKey, ...], BeforeValidator(as_list)] = Field(
        default=(),
        description="Public key of a program at a `tcp://` address of `daemon.listen`, as `meshctl curve create` "
        "prints it, or a list; instead of the other keys.",
    )


class AppRateLimitConfig(Section):
    rpm: Positive | None = Field(default=None, description="Requests per minute, to all models together.")
    tpm: Positive | None = Field(default=None, description="Tokens per minute, to all models together.")
    concurrency: Positive | None = Field(default=None, description="Requests at once; the same as `concurrency`.")


class AppConfig(Section):
    match: AppMatch = Field(
        default=AppMatch.unset(), description="Which processes belong to the app, by what the kernel says about them."
    )
    pools: Names | None = Field(default=None, description="Allowed pools.", json_schema_extra={"shown_default": "all"})
    models: Names | None = Field(
        default=None,
        description="Allowed models, including those within a pool.",
        json_schema_extra={"shown_default": "those of the allowed pools"},
    )
    budget: BudgetConfig = Field(default=BudgetConfig.unset(), description="Spending limits.")
    rate_limit: AppRateLimitConfig = Field(default=AppRateLimitConfig.unset(), description="Limits.")
    concurrency: Positive | None = Field(default=None, description="Requests at once.")
    priority: int = Field(default=ANY_APP.priority, description="Apps with a higher priority are served first.")
    weight: Weight = Field(default=ANY_APP.weight, description="The app's share when apps compete for capacity.")
    max_message_size: Size | None = Field(
        default=None,
        description="Largest message, up to `daemon.max_message_size`.",
        json_schema_extra={
            "shown_default": "`1MiB`; `daemon.max_message_size` for root, the daemon's user and `admin`"
        },
    )
    passthrough: bool = Field(
        default=ANY_APP.passthrough,
        description="It may also use the native API of providers that have `passthrough`, and do there everything that "
        "the key allows.",
    )
    metrics: bool = Field(
        default=ANY_APP.metrics, description="The app may read `/metrics`, which counts every app's requests."
    )
    admin: bool = Field(default=ANY_APP.admin, description="The app may control the daemon, and sees every app.")


def _sha256(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a SHA-256: 64 hexadecimal digits"})
    return value.lower()


class PackageConfig(Section):
    path: str | None = Field(default=None, description="The file; relative to the configuration file's folder.")
    url: str | None = Field(default=None, description="Its address, instead of `path`.")
    sha256: Annotated[str, AfterValidator(_sha256)] = Field(description="The SHA-256 of its content.")

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a `path` or a `url`"})
        return self


class ConnectorsConfig(Section):
    packages: tuple[PackageConfig, ...] = Field(
        default=(),
        description="Zip packages of connectors, such as wheels: each a map with `path` or `url`, and the `sha256` of "
        "its content, which is required.",
    )
