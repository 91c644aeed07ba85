"""OpenAI's list of models, with the fields in which other servers report limits and features.

Sources (2026-11-28): OpenAI's `Model`; openrouter.ai/docs/api/api-reference/models/get-models (`context_length`,
`top_provider`, `supported_parameters`, `architecture`), which opencode reads (anomalyco/opencode#40908); vLLM's
`ModelCard` (`max_model_len`), which Continue reads; console.groq.com/docs/models (`context_window`,
`max_completion_tokens`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.lists.entry import Entry

_PARAMETERS = {
    "tool_calling": ("tools", "tool_choice"),
    "structured_output": ("structured_outputs", "response_format"),
    "json_mode": ("response_format",),
    "reasoning": ("reasoning",),
    "logprobs": ("logprobs",),
}
_TYPES = {
    "generation.text-generation.chat-completion": "chat",
    "representation.embeddings.text-embeddings": "embedding",
    "retrieval.reranking": "rerank",
}


class OpenAIList:
    speaks: str | None = None

    def asked(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        return True

    def listed(self, entries: list[Entry], query: Mapping[str, str]) -> dict[str, Any]:
        return {"object": "list", "data": [self.one(entry) for entry in entries]}

    def one(self, entry: Entry) -> dict[str, Any]:
        return {
            "id": entry.id,
            "object": "model",
            "created": 0,
            "owned_by": entry.owner,
            **_type(entry),
            **_limits(entry),
            **_features(entry),
            "mesh": {
                "kind": entry.kind,
                "target": entry.target,
                "capabilities": list(entry.capabilities),
                **_long(entry),
            },
        }


def _type(entry: Entry) -> dict[str, Any]:
    kinds = (kind for capability, kind in _TYPES.items() if capability in entry.capabilities)
    found = next(kinds, None)
    return {} if found is None else {"type": found}


def _limits(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if entry.context_window is not None:
        found |= dict.fromkeys(("context_window", "context_length", "max_model_len"), entry.context_window)
    if entry.max_output_tokens is not None:
        found |= dict.fromkeys(("max_output_tokens", "max_completion_tokens"), entry.max_output_tokens)
    if found:
        found["top_provider"] = {
            "context_length": entry.context_window,
            "max_completion_tokens": entry.max_output_tokens,
        }
    return found


def _long(entry: Entry) -> dict[str, Any]:
    if entry.long is None:
        return {}
    window, output = entry.long
    return {"long_prompts": {"context_window": window, "max_output_tokens": output}}


def _features(entry: Entry) -> dict[str, Any]:
    """Only what is declared: a client treats missing features as unknown."""
    parameters = [name for feature, names in _PARAMETERS.items() if feature in entry.features for name in names]
    found: dict[str, Any] = {"supported_parameters": list(dict.fromkeys(parameters))} if parameters else {}
    if "vision" in entry.features:
        found["architecture"] = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
    return found
