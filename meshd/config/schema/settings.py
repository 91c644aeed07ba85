"""The connectors' own keys, for the connectors that come with the daemon.

Owns: their types, defaults and descriptions; the registry names each by "module:attribute".
Must never: import a connector.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from meshd.config.schema.base import Duration, Names, Positive, Section, Size


class NoSettings(Section):
    """A connector without keys of its own."""


# -- secret stores ------------------------------------------------------------------------------------


class EnvStoreSettings(Section):
    prefix: str = Field(default="", description="Prefix of the variables; a secret's name follows it.")


class DotenvStoreSettings(Section):
    path: str = Field(default=".env", description="The file; relative to the configuration file's folder.")
    override: bool = Field(default=False, description="The file wins over a variable of the same name.")


class DirectoryStoreSettings(Section):
    path: str = Field(description="The directory; relative to the configuration file's folder.")


class MemoryStoreSettings(Section):
    values: dict[str, str] = Field(default={}, description="The secrets themselves; for tests.", repr=False)


# -- storage ------------------------------------------------------------------------------------------


class SqliteSettings(Section):
    path: str | None = Field(
        default=None,
        description="The database file.",
        json_schema_extra={"shown_default": "`state.sqlite3` in the state directory"},
    )


class LocalFileSettings(Section):
    path: str | None = Field(
        default=None, description="The folder.", json_schema_extra={"shown_default": "the state directory"}
    )
    backup: bool = Field(default=False, description="Keep the previous version of each file.")


# -- observability ------------------------------------------------------------------------------------


class FileSinkSettings(Section):
    path: str = Field(description="The file, one JSON object a line.")
    max_size: Size = Field(default=50_000_000, description="Size at which the file is rotated.")
    keep: Positive = Field(default=5, description="Rotated files that are kept.")


# -- providers ----------------------------------------------------------------------------------------


class HttpSettings(Section):
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


class LocalLlmSettings(Section):
    model: str = Field(default="smollm2-135m", description="Name of pulled weights, or the path of a GGUF file.")
    context_window: Positive | None = Field(
        default=None, description="Tokens of context.", json_schema_extra={"shown_default": "the model's"}
    )
    threads: Positive | None = Field(
        default=None, description="Threads.", json_schema_extra={"shown_default": "the machine's cores"}
    )
    idle_timeout: Duration = Field(
        default=300.0, description="The child process is stopped when it has been unused for this long."
    )
    parallel: Positive = Field(default=2, description="Requests answered in parallel.")


class LocalEmbeddingsSettings(Section):
    threads: Positive | None = Field(
        default=None, description="Threads.", json_schema_extra={"shown_default": "the machine's cores"}
    )
    idle_timeout: Duration = Field(
        default=300.0, description="The child process is stopped when it has been unused for this long."
    )


class ScriptedSettings(Section):
    script: Any = Field(default=(), description="The answers and faults: a list in order, or a map by model.")
    models: Names = Field(default=(), description="The models it lists.")
    cycle: bool = Field(
        default=False, description="Repeat the script from its beginning; otherwise its last step repeats."
    )
    capabilities: Names = Field(
        default=(), description="What its models can do.", json_schema_extra={"shown_default": "by their names"}
    )
