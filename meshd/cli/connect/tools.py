"""The programs that `meshctl connect` knows: their settings files, and what is written to them.

Owns: one row for each program, with the sources of its keys. Must never: read or write a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from meshd.cli.connect.edits import Edit, Item
from meshd.cli.connect.mesh import Mesh, Model

NAME = "meshd"
"""The provider's name, in programs that have several."""
_WINDOW = 32_768  # tokens, for programs that must be told one, where none is known
_KEY_OF_ZED = f"{NAME.upper()}_API_KEY"


class File(msgspec.Struct, frozen=True):
    """A settings file. paths: where it may be, relative to `folder`: the first that exists, else the last."""

    paths: tuple[str, ...]
    format: Literal["json", "toml", "yaml"]
    edits: Callable[[Mesh], list[Edit]]


class Tool(msgspec.Struct, frozen=True):
    """name: on the command line. programs: any of them shows that it is installed. home: its folder below the home
    directory; variable: an environment variable that names another. base: the variable of the XDG directory that its
    folder is in. keeps_key: a token can be in its settings. note: what else there is to do. reports: what is written
    if it only reports its usage; empty if it cannot."""

    name: str
    title: str
    programs: tuple[str, ...]
    home: str
    files: tuple[File, ...]
    variable: str = ""
    base: str = ""
    keeps_key: bool = True
    note: str = ""
    reports: tuple[File, ...] = ()

    @property
    def reporting(self) -> Tool:
        """The same program, which keeps its own account and reports what it uses."""
        return msgspec.structs.replace(self, files=self.reports)

    def folder(self, environ: Mapping[str, str], home: Path) -> Path:
        given, base = environ.get(self.variable, ""), environ.get(self.base, "")
        if given.startswith("/"):
            return Path(given)
        if base.startswith("/"):
            return Path(base) / Path(self.home).name
        return home / self.home


# Claude Code. code.claude.com/docs/en/settings, /env-vars, /model-config, /llm-gateway-protocol (2026-11-28): the
# address without /v1; ANTHROPIC_AUTH_TOKEN is sent as a bearer token; a window of 200,000 and an output of 32,000 are
# assumed for names that it does not know.
def _claude(mesh: Mesh) -> list[Edit]:
    model = mesh.default
    variables = {
        "ANTHROPIC_BASE_URL": mesh.address,
        "ANTHROPIC_AUTH_TOKEN": mesh.key,
        "ANTHROPIC_MODEL": model.id,
        **{f"ANTHROPIC_DEFAULT_{size}_MODEL": model.id for size in ("OPUS", "SONNET", "HAIKU")},
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": model.window,
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": model.output,
    }
    return [Edit(("env", name), str(value)) for name, value in variables.items() if value is not None]


# Codex CLI. developers.openai.com/codex/config-reference; read by codex-cli 0.171.0 (2026-11-28). Only `responses` is
# left of `wire_api`. It keeps its own instructions for models that it does not know.
def _codex(mesh: Mesh) -> list[Edit]:
    provider: dict[str, Any] = {
        "name": NAME,
        "base_url": mesh.v1,
        "wire_api": "responses",
        "supports_websockets": False,
    }
    if mesh.token:
        provider["experimental_bearer_token"] = mesh.token
    edits = [
        Edit(("model",), mesh.default.id),
        Edit(("model_provider",), NAME),
        Edit(("model_providers", NAME), provider),
    ]
    window = mesh.default.window
    return edits if window is None else [Edit(("model_context_window",), window), *edits]


# Their usage exports. docs.claude.com/en/docs/claude-code/monitoring-usage,
# developers.openai.com/codex/config-advanced (2026-11-28). Claude Code's variables are those for logs alone, so that
# the user's other exports stay as they are.
def _claude_usage(mesh: Mesh) -> list[Edit]:
    variables = {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{mesh.v1}/logs",
    }
    if mesh.token:
        variables["OTEL_EXPORTER_OTLP_LOGS_HEADERS"] = f"Authorization=Bearer {mesh.token}"
    return [Edit(("env", name), value) for name, value in variables.items()]


def _codex_usage(mesh: Mesh) -> list[Edit]:
    exporter: dict[str, Any] = {"endpoint": f"{mesh.v1}/logs", "protocol": "binary"}
    if mesh.token:
        exporter["headers"] = {"Authorization": f"Bearer {mesh.token}"}
    return [Edit(("otel", "exporter"), {"otlp-http": exporter})]


# opencode. opencode.ai/docs/providers, /docs/config, the schema opencode.ai/config.json; read by opencode 1.18.33
# (2026-11-28). A limit needs both numbers.
def _opencode(mesh: Mesh) -> list[Edit]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": NAME,
        "options": {"baseURL": mesh.v1, "apiKey": mesh.key},
        "models": {model.id: _opencode_model(model) for model in mesh.models},
    }
    return [
        Edit(("$schema",), "https://opencode.ai/config.json", only_new=True),
        Edit(("provider", NAME), provider),
        Edit(("model",), f"{NAME}/{mesh.default.id}"),
    ]


def _opencode_model(model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {"name": model.id, "tool_call": True, "reasoning": model.reasons}
    if model.sees:
        found |= {"attachment": True, "modalities": {"input": ["text", "image"], "output": ["text"]}}
    if model.window is not None:
        found["limit"] = {"context": model.window, "output": model.output or model.window}
    return found


# Cline. docs.cline.bot/getting-started/config; the schema of its providers in @cline/core of cline 3.0.65 (2026-11-28).
def _cline(mesh: Mesh) -> list[Edit]:
    model, provider = mesh.default, "openai-compatible"
    limits = {"contextWindow": model.window, "maxTokens": model.output}
    settings = {
        "provider": provider,
        "baseUrl": mesh.v1,
        "apiKey": mesh.key,
        "model": model.id,
        **{name: limit for name, limit in limits.items() if limit is not None},
    }
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return [
        Edit(("version",), 1, only_new=True),
        Edit(("lastUsedProvider",), provider),
        Edit(("providers", provider), {"settings": settings, "updatedAt": now, "tokenSource": "manual"}),
    ]


# Continue. docs.continue.dev/reference, /customize/model-providers/top-level/openai (2026-11-28).
def _continue(mesh: Mesh) -> list[Edit]:
    heads = {"name": NAME, "version": "1.0.0", "schema": "v1"}
    edits = [Edit((key,), value, only_new=True) for key, value in heads.items()]
    for model in mesh.models:
        name = f"{model.id} ({NAME})"
        limits = {"contextLength": model.window, "maxTokens": model.output}
        entry: dict[str, Any] = {
            "name": name,
            "provider": "openai",
            "model": model.id,
            "apiBase": mesh.v1,
            "apiKey": mesh.key,
            "roles": ["chat", "edit", "apply"],
            "capabilities": ["tool_use", *(["image_input"] if model.sees else [])],
        }
        if options := {key: limit for key, limit in limits.items() if limit is not None}:
            entry["defaultCompletionOptions"] = options
        edits.append(Edit(("models", Item("name", name)), entry))
    return edits


# aider. aider.chat/docs/config/aider_conf.html, /docs/llms/openai-compat.html, /docs/config/adv-model-settings.html
# (2026-11-28): `openai/` before the name chooses the API.
def _aider(mesh: Mesh) -> list[Edit]:
    model = f"openai/{mesh.default.id}"
    settings = {"openai-api-base": mesh.v1, "openai-api-key": mesh.key, "model": model, "weak-model": model}
    return [Edit((key,), value) for key, value in settings.items()]


def _aider_models(mesh: Mesh) -> list[Edit]:
    edits = []
    for model in mesh.models:
        limits = {"max_input_tokens": model.window, "max_output_tokens": model.output, "max_tokens": model.output}
        known = {key: limit for key, limit in limits.items() if limit is not None}
        edits.append(Edit((f"openai/{model.id}",), {"litellm_provider": "openai", "mode": "chat", **known}))
    return edits


# Zed. zed.dev/docs/ai/use-api-access#openai-compatible (2026-11-28): `max_tokens` is the window; the key is not in the
# settings but in a variable named after the provider.
def _zed(mesh: Mesh) -> list[Edit]:
    models = [
        {
            "name": model.id,
            "display_name": model.id,
            "max_tokens": model.window or _WINDOW,
            **({} if model.output is None else {"max_output_tokens": model.output}),
            "capabilities": {
                "tools": True,
                "images": model.sees,
                "parallel_tool_calls": True,
                "prompt_cache_key": True,
            },
        }
        for model in mesh.models
    ]
    return [
        Edit(("language_models", "openai_compatible", NAME), {"api_url": mesh.v1, "available_models": models}),
        Edit(("agent", "default_model"), {"provider": NAME, "model": mesh.default.id}),
    ]


# llm. llm.datasette.io/en/stable/other-models.html#openai-compatible-models; llm 0.36 (2026-11-28): with `api_base` and
# without `api_key_name`, no key is asked for.
def _llm(mesh: Mesh) -> list[Edit]:
    edits = []
    for model in mesh.models:
        entry: dict[str, Any] = {
            "model_id": f"mesh/{model.id}",
            "model_name": model.id,
            "api_base": mesh.v1,
            "supports_tools": True,
            "supports_schema": True,
            "vision": model.sees,
        }
        if mesh.token:
            entry["headers"] = {"Authorization": f"Bearer {mesh.token}"}
        edits.append(Edit((Item("model_id", entry["model_id"]),), entry))
    return edits


TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "claude",
            "Claude Code",
            ("claude",),
            ".claude",
            (File(("settings.json",), "json", _claude),),
            variable="CLAUDE_CONFIG_DIR",
            reports=(File(("settings.json",), "json", _claude_usage),),
        ),
        Tool(
            "codex",
            "Codex CLI",
            ("codex",),
            ".codex",
            (File(("config.toml",), "toml", _codex),),
            variable="CODEX_HOME",
            reports=(File(("config.toml",), "toml", _codex_usage),),
        ),
        Tool(
            "opencode",
            "opencode",
            ("opencode",),
            ".config/opencode",
            (File(("opencode.jsonc", "opencode.json"), "json", _opencode),),
            base="XDG_CONFIG_HOME",
        ),
        Tool(
            "cline",
            "Cline",
            ("cline",),
            ".cline/data",
            (File(("settings/providers.json",), "json", _cline),),
            variable="CLINE_DATA_DIR",
        ),
        Tool(
            "continue",
            "Continue",
            ("cn",),
            ".continue",
            (File(("config.yaml",), "yaml", _continue),),
            variable="CONTINUE_GLOBAL_DIR",
        ),
        Tool(
            "aider",
            "aider",
            ("aider",),
            "",
            (
                File((".aider.conf.yml",), "yaml", _aider),
                File((".aider.model.metadata.json",), "json", _aider_models),
            ),
        ),
        Tool(
            "zed",
            "Zed",
            ("zed", "zeditor"),
            ".config/zed",
            (File(("settings.json",), "json", _zed),),
            base="XDG_CONFIG_HOME",
            keeps_key=False,
            note=f"Zed reads its key from the environment: start it with {_KEY_OF_ZED} set (to your token, or to "
            "`none` where the mesh needs none).",
        ),
        Tool(
            "llm",
            "llm",
            ("llm",),
            ".config/io.datasette.llm",
            (File(("extra-openai-models.yaml",), "yaml", _llm),),
            variable="LLM_USER_PATH",
            base="XDG_CONFIG_HOME",
            note="Ask with `llm -m mesh/POOL`; `llm models default mesh/POOL` makes one the default.",
        ),
    )
}
