"""The configuration without a file: what the machine already offers.

Owns: which providers are used, in what order of preference, and the commented file that `config init` writes.
Must never: look beyond its arguments, or put a key's value into the configuration (only its name).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from meshd.catalogue.placeholder_keys import is_placeholder
from meshd.config.mesh_config import MeshConfig
from meshd.config.schema import LOCAL_SERVERS
from meshd.config.write.dumping import dump_yaml
from meshd.connectors.registry import ConnectorRegistry, default_registry
from meshd.routing.table.capabilities import PREDEFINED_POOLS, CapabilityTree
from meshd.sdk.connector import ConnectorSpec

LOCAL_LLM = "local-llm"
LOCAL_EMBEDDINGS = "local-embeddings"
LOCAL_SPEECH = "local-speech"
LOCAL_TRANSCRIPTION = "local-transcription"
_EMBEDDED = {
    LOCAL_LLM: "modelmesh.local-llm.v1",
    LOCAL_EMBEDDINGS: "modelmesh.local-embeddings.v1",
    LOCAL_SPEECH: "modelmesh.local-speech.v1",
    LOCAL_TRANSCRIPTION: "modelmesh.local-transcription.v1",
}
_EMBEDDED_SERVES = {
    LOCAL_LLM: ("chat-completion", "text-completion"),
    LOCAL_EMBEDDINGS: ("text-embeddings",),
    LOCAL_SPEECH: ("text-to-speech",),
    LOCAL_TRANSCRIPTION: ("speech-to-text",),
}
_ALWAYS = ("text-generation", "embeddings")
"""Pools that exist even without a model, since a local server may be started at any time."""
_STRATEGY = "modelmesh.priority-selection.v1"


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def zero_config(
    environ: Mapping[str, str],
    credentials_dir: str | os.PathLike[str] | None = None,
    installed: Callable[[str], bool] = _is_installed,
    registry: ConnectorRegistry | None = None,
) -> MeshConfig:
    """Every provider whose key is available, then local servers as they are found, then the embedded models.

    credentials_dir: systemd's, where keys may be instead of in the environment. installed: whether a package can be
    imported. The embedded model is included even without its weights: its error says so, and it works as soon as they
    are pulled.
    """
    known = registry or default_registry()
    # A placeholder such as EMPTY is meant for a local server; a hosted provider would be asked first and fail.
    named = {name for name, value in environ.items() if value and not is_placeholder(value)}
    in_files = {name.removesuffix("_FILE") for name in named if name.endswith("_FILE")}
    at_hand = named | in_files | _credentials(credentials_dir or environ)
    cloud = _cloud_providers(known, at_hand, named)
    embedded = [name for name, id in _EMBEDDED.items() if _usable(known.find(id, "provider"), installed)]
    raw: dict[str, Any] = {"secrets": {"store": ["modelmesh.env.v1", "systemd.credentials.v1"]}}
    providers: dict[str, Any] = {
        name: {"connector": spec.id, "api_key": f"${{secrets:{key}}}"} for name, (spec, key) in cloud.items()
    }
    providers |= {name: {"connector": _EMBEDDED[name]} for name in embedded}
    if providers:
        raw["providers"] = providers
    raw["pools"] = _pools({name: spec for name, (spec, _) in cloud.items()}, embedded)
    raw["discovery"] = {"sync": {"auto_register": True}, "local": {"enabled": True}}
    return MeshConfig(raw, environ=environ)


def _credentials(directory: str | os.PathLike[str] | Mapping[str, str]) -> set[str]:
    """Names of systemd's credentials."""
    place = directory.get("CREDENTIALS_DIRECTORY") if isinstance(directory, Mapping) else directory
    if not place:
        return set()
    try:
        return {entry.name for entry in Path(place).iterdir() if entry.is_file() and entry.stat().st_size}
    except OSError:
        return set()


def _cloud_providers(
    registry: ConnectorRegistry, at_hand: set[str], named: set[str]
) -> dict[str, tuple[ConnectorSpec, str]]:
    """Name → (row, the variable with its key), in the catalogue's order. named: variables that are set."""
    found: dict[str, tuple[ConnectorSpec, str]] = {}
    for spec in registry.list_connectors("provider", outside=False):
        if spec.row.get("local") or spec.row.get("zero_config") is False:
            continue
        if not set(spec.row.get("needs_env", ())) <= named:
            continue
        key = next((name for name in spec.key_env if name in at_hand), None)
        if key is not None:
            found[spec.short_name] = (spec, key)
    order = registry.catalogue_order()
    return dict(sorted(found.items(), key=lambda item: order.index(item[1][0].id)))


def _usable(spec: ConnectorSpec | None, installed: Callable[[str], bool]) -> bool:
    return spec is not None and all(installed(package) for package in spec.requires)


def _pools(cloud: Mapping[str, ConnectorSpec], embedded: Iterable[str]) -> dict[str, Any]:
    """The predefined pools that have models, each with its providers in order of preference."""
    tree = CapabilityTree.default()
    pools = {}
    for pool, node in PREDEFINED_POOLS.items():
        mine = [name for name, spec in cloud.items() if _serves(spec.row.get("capabilities", ()), node, tree)]
        last = [name for name in embedded if _serves(_EMBEDDED_SERVES[name], node, tree)]
        if mine or last or pool in _ALWAYS:
            order = [*mine, *LOCAL_SERVERS, *last]
            pools[pool] = {"capability": tree.alias(node), "strategy": _STRATEGY, "provider_priority": order}
    return pools


def _serves(capabilities: Iterable[str], node: str, tree: CapabilityTree) -> bool:
    resolved = (tree.resolve(name) for name in capabilities)
    return any(tree.covers(node, found) for found in resolved if found)


# -- the commented file -------------------------------------------------------------------------------

_HEAD = """\
# meshd configuration. Check it with `meshctl config validate`; changes take effect as soon as the file is saved.
# Every key: docs/configuration.md. An editor that knows YAML's language server completes and checks the keys
# with the output of `meshctl config schema`.
"""
_ABOUT = {
    "secrets": "Where keys come from: asked in this order for every ${secrets:NAME}.",
    "providers": "Services that run models. A key is named here, never written here.",
    "models": "Models, by id, beyond those that the providers list.",
    "pools": "What apps ask for. `provider_priority` is the order of preference; local servers join when found.",
    "storage": "Where state is kept.",
    "observability": "Events, the request log, statistics.",
    "hooks": "Hooks that see each request between app and provider.",
    "discovery": "Model lists of the providers, health probes, servers on this machine.",
    "capabilities": "Nodes added to the capability tree.",
    "daemon": "The socket and the process.",
}
_MORE = {
    "providers": """\
#  my-server:                          # any server that speaks OpenAI's API
#    connector: openai-compatible.v1
#    base_url: http://127.0.0.1:9000/v1
#    auth: {method: none}
""",
    "pools": """\
#  fast:                               # a pool of your own; apps ask for it by this name
#    capability: chat-completion
#    strategy: round-robin
#    retry: {max_attempts: 2, deadline: 30s}
#    recovery: {cooldown: 60s, max_cooldown: 15m}
""",
}
_TAIL = """\
# models:
#   my-server.my-model:                # a model that its provider does not list, or with other facts
#     provider: my-server
#     capabilities: [chat-completion]
#     constraints: {context_window: 8192, max_output_tokens: 2048}

# observability:
#   routing: {connector: modelmesh.file.v1, path: /var/log/meshd/events.jsonl}

# storage:
#   connector: modelmesh.sqlite.v1
#   sync_policy: periodic

# daemon:
#   request_timeout: 10m
#   log_level: info
"""


def commented_yaml(config: MeshConfig) -> str:
    """A starting file: the configuration with an explanation of each section, and examples to uncomment."""
    parts = [_HEAD]
    for section, value in config.raw.items():
        about = f"# {_ABOUT[section]}\n" if section in _ABOUT else ""
        parts.append(f"{about}{dump_yaml({section: value})}{_MORE.get(section, '')}")
    if "providers" not in config.raw:
        parts.append(f"# {_ABOUT['providers']}\n# providers:\n{_MORE['providers']}")
    parts.append(_TAIL)
    return "\n".join(parts)
