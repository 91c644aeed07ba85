"""Ollama's list of models, and its description of one.

Clients read a model's window under its architecture's name, and what it can do from `capabilities`.

Source (2026-11-28): `ListModelResponse`, `ShowResponse` and `model.Capability` in ollama/ollama, api/types.go and
types/model/capability.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from meshd.formats.lists.entry import Entry

_FAMILY = "mesh"
_FEATURES = {"tool_calling": "tools", "vision": "vision", "reasoning": "thinking"}
_DETAILS = {
    "parent_model": "",
    "format": "",
    "family": _FAMILY,
    "families": [_FAMILY],
    "parameter_size": "",
    "quantization_level": "",
}


def tags(entries: Iterable[Entry], since: str) -> dict[str, Any]:
    """since: a time in Ollama's form."""
    return {
        "models": [
            {
                "name": entry.id,
                "model": entry.id,
                "modified_at": since,
                "size": 0,
                "digest": sha256(entry.id.encode()).hexdigest(),
                "details": _DETAILS,
            }
            for entry in entries
        ]
    }


def shown(entry: Entry, operations: Iterable[str]) -> dict[str, Any]:
    """operations: what it answers, in Ollama's words."""
    info: dict[str, Any] = {"general.architecture": _FAMILY, "general.basename": entry.target}
    if entry.context_window is not None:
        info[f"{_FAMILY}.context_length"] = entry.context_window
    features = [name for feature, name in _FEATURES.items() if feature in entry.features]
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _DETAILS,
        "model_info": info,
        "capabilities": [*operations, *features],
    }
