"""What validation says of a configuration."""

from __future__ import annotations

from typing import Any

from meshd.config import MeshConfig
from meshd.connectors.registry import ConnectorRegistry

VALID = """
secrets:
  store: [modelmesh.env.v1, {connector: modelmesh.dotenv.v1, path: .env}]
  cache_ttl: 5m
providers:
  house:
    connector: openai-compatible.v1
    base_url: http://127.0.0.1:9000/v1
    auth: {method: none}
  test: {connector: modelmesh.scripted.v1, cycle: true}
models:
  house.qwen:
    capabilities: [chat-completion]
    pricing: {input_per_1m: 0.15}
pools:
  chat:
    capability: chat-completion
    models: [house.qwen]
    strategy: round-robin
    provider_priority: [house, ollama]
    retry: {backoff: fixed, initial_delay: 100ms}
storage: {connector: modelmesh.memory.v1}
observability:
  routing: modelmesh.console.v1
  logging: [modelmesh.null.v1, {connector: modelmesh.file.v1, path: a.jsonl, keep: 2}]
  statistics: {connector: [modelmesh.console.v1, modelmesh.file.v1], path: b, max_size: 1MB, flush_interval: 10s}
discovery: {local: {servers: [ollama]}, health: {method: completion, interval: 30s}}
capabilities: {compliance: [pii-detection]}
daemon: {request_timeout: 2m, max_message_size: 1MiB, socket_mode: "0600"}
"""


def found(text: str | dict[str, Any], registry: ConnectorRegistry | None = None) -> list[str]:
    config = (
        MeshConfig.from_dict(text, environ={})
        if isinstance(text, dict)
        else MeshConfig.from_text(text, file="mesh.yaml", environ={})
    )
    return [str(problem).removeprefix("configuration: ") for problem in config.validate(registry)]


def house(**extra: Any) -> dict[str, Any]:
    return {"house": {"connector": "openai-compatible.v1", "base_url": "http://h/v1", **extra}}


# -- addresses, sockets, pools without a model --------------------------------------------------------------


def said_at(config: dict[str, Any]) -> dict[str, str]:
    return {problem.path: problem.message for problem in MeshConfig.from_dict(config).validate()}
