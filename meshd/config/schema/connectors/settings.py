"""The connectors' own keys, for the connectors that come with the daemon.

Owns: their types, defaults and descriptions; the registry names each by "module:attribute".
Must never: import a connector.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from meshd.config.schema.base import Duration, Names, Positive, Section
from meshd.config.schema.connectors.usual_settings import HttpSettings

# -- providers ----------------------------------------------------------------------------------------


class AzureOpenaiSettings(HttpSettings):
    api_version: str | None = Field(
        default=None,
        pattern=r"^\d{4}-\d\d-\d\d(-preview)?$",
        description="Ask each deployment at its own path, with this version of the API, such as `2024-10-21`.",
        json_schema_extra={"shown_default": "the v1 API, which has no versions"},
    )
    deployments: dict[str, str] = Field(
        default_factory=dict,
        description="Model → the deployment that serves it.",
        json_schema_extra={"shown_default": "each model has the name of its deployment"},
    )


class LocalLlmSettings(Section):
    model: str = Field(default="smollm2-135m", description="Name of pulled weights, or the path of a GGUF file.")
    context_window: Positive | None = Field(
        default=None, description="Size of the context in tokens.", json_schema_extra={"shown_default": "the model's"}
    )
    threads: Positive | None = Field(
        default=None, description="Number of threads.", json_schema_extra={"shown_default": "the machine's cores"}
    )
    idle_timeout: Duration = Field(
        default=300.0, description="The child process is stopped when it has been unused for this long."
    )
    parallel: Positive = Field(default=2, description="Requests answered in parallel.")


class LocalEmbeddingsSettings(Section):
    threads: Positive | None = Field(
        default=None, description="Number of threads.", json_schema_extra={"shown_default": "the machine's cores"}
    )
    idle_timeout: Duration = Field(
        default=300.0, description="The child process is stopped when it has been unused for this long."
    )


class LocalAudioSettings(Section):
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
