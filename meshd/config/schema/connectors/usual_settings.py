"""The keys of the connectors that nearly every daemon uses, in a module of their own: each section takes 14 kB, so
those of other connectors are loaded only for a configuration that names them.

Owns: their types, defaults and descriptions; the registry names each by "module:attribute".
Must never: import a connector.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from meshd.config.schema.base import Names, Section


class NoSettings(Section):
    """A connector without keys of its own."""


class QuirksConfig(Section):
    """The `quirks` of a row in `meshd/catalogue/providers.toml`; each one that is given here replaces the row's."""

    speaks: Names | None = Field(default=None, description="The wire formats of its API, the preferred one first.")
    api_key_header: str | None = Field(default=None, description="The header with the bare key.")
    prefill: Literal["assistant", "prefix", "partial", "final_message", "instruct"] | None = Field(
        default=None, description="How it continues a broken answer."
    )
    custom_tools: bool | None = Field(default=None, description="It knows tools that take any text.")
    late_instructions: bool | None = Field(
        default=None, description="It takes instructions between other messages, and the role `developer`."
    )
    no_stream_options: bool | None = Field(default=None, description="It refuses `stream_options`.")
    rename: dict[str, str] | None = Field(default=None, description="Request fields to send under another name.")
    drop: Names | None = Field(default=None, description="Request fields not to send.")
    add: dict[str, Any] | None = Field(default=None, description="Request fields to send if a request has none.")
    clamp: dict[str, tuple[float, float]] | None = Field(default=None, description="The bounds of numbers.")
    roles: dict[str, str] | None = Field(default=None, description="Roles of messages to send as others.")
    drop_in_messages: Names | None = Field(default=None, description="Fields of messages not to send.")
    at_once: dict[str, Annotated[int, Field(ge=1)]] | None = Field(
        default=None, description="How many inputs a call takes, by operation: `embeddings`."
    )
    tokens_at_once: dict[str, Annotated[int, Field(ge=1)]] | None = Field(
        default=None, description="How many tokens all inputs of a call may have, by operation."
    )
    query: dict[str, str] | None = Field(default=None, description="Query parameters of every request.")
    models_path: str | None = Field(default=None, description="Where it lists its models.")
    no_models_list: bool | None = Field(default=None, description="It lists none.")

    @property
    def given(self) -> dict[str, Any]:
        return {name: value for name, value in self.model_dump(mode="json").items() if value is not None}


class HttpSettings(Section):
    quirks: QuirksConfig | None = Field(
        default=None,
        description="How its API differs from others of its format: see providers.md.",
        json_schema_extra={"shown_default": "the catalogue's"},
    )
    ca_file: str | None = Field(
        default=None,
        description="Certificates to trust.",
        json_schema_extra={"shown_default": "the system's"},
    )
    proxy: str | None = Field(
        default=None,
        description="Its proxy: `http://…`, `https://…`, `socks5://…` or `none`.",
        json_schema_extra={"shown_default": "the environment's"},
        repr=False,
    )


class EnvStoreSettings(Section):
    prefix: str = Field(default="", description="Prefix of the variables; a secret's name follows it.")


class SqliteSettings(Section):
    path: str | None = Field(
        default=None,
        description="The database file.",
        json_schema_extra={"shown_default": "`state.sqlite3` in the state directory"},
    )
