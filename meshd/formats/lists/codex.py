"""The catalogue that Codex CLI reads from `model_catalog_url`: each model's window, levels of reasoning and tools.

Codex adds `client_version` to the address, reads at most 1 MiB, and takes a model only with instructions: those here
replace its own.

Sources (2026-11-28): `ModelInfo` in openai/codex, codex-rs/protocol/src/openai_models.rs and
codex-rs/model-provider/src/models_endpoint.rs; the fields without which codex-cli 0.171.0 refuses a catalogue, found by
experiment (`codex debug models`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.lists.entry import Entry

_MOST = 400  # models: some 2 KiB each
_LEVELS = {"low": "Answers fast.", "medium": "Thinks where it helps.", "high": "Thinks long about hard tasks."}
_INSTRUCTIONS = """\
You are a coding agent that works in a user's terminal, in the directory of their project. Read the files that a task \
concerns before you change them, and follow the project's own style and instructions (AGENTS.md, CONTRIBUTING.md). \
Change only what the task needs, and keep what you did not make. Use the tools you are given to read, search, edit and \
run; do not claim to have done what no tool did. After a change, run the checks that show whether it works, and fix \
what they find. Ask before anything that cannot be undone. Go on until the task is done; then say in a few sentences \
what you changed, how you know that it works, and what is left.
"""


class CodexCatalogue:
    speaks: str | None = "responses"

    def asked(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        return "client_version" in query

    def listed(self, entries: list[Entry], query: Mapping[str, str]) -> dict[str, Any]:
        return {"models": [_model(entry, at) for at, entry in enumerate(entries[:_MOST], 1)]}

    def one(self, entry: Entry) -> dict[str, Any]:
        return _model(entry, 1)


def _model(entry: Entry, priority: int) -> dict[str, Any]:
    reasons = "reasoning" in entry.features
    return {
        "slug": entry.id,
        "display_name": entry.id,
        "description": f"{entry.kind} {entry.target}" if entry.target != entry.id else f"{entry.kind} of this mesh",
        "base_instructions": _INSTRUCTIONS,
        "default_reasoning_level": "medium" if reasons else None,
        "supported_reasoning_levels": [
            {"effort": effort, "description": text} for effort, text in _LEVELS.items() if reasons
        ],
        "supports_reasoning_summaries": reasons,
        "shell_type": "default",
        "apply_patch_tool_type": None,
        "experimental_supported_tools": [],
        "supports_parallel_tool_calls": "tool_calling" in entry.features,
        "input_modalities": ["text", "image"] if "vision" in entry.features else ["text"],
        "truncation_policy": {"mode": "bytes", "limit": 10_000},
        "context_window": entry.context_window,
        "max_context_window": entry.context_window,
        "support_verbosity": False,
        "default_verbosity": None,
        "visibility": "list",
        "supported_in_api": True,
        "priority": priority,
        "availability_nux": None,
        "upgrade": None,
    }
