"""Connectors that do everything wrong."""

from meshd.sdk.connector import ConnectorSpec


def spec(id, type, factory):
    return ConnectorSpec(id, type, "Fails", f"rude_connectors.kinds:{factory}")


CONNECTORS = (
    spec("rude.provider.v1", "provider", "RudeProvider"),
    spec("rude.strategy.v1", "rotation", "RudeStrategy"),
    spec("rude.secrets.v1", "secret-store", "RudeStore"),
    spec("rude.storage.v1", "storage", "RudeStorage"),
    spec("rude.sink.v1", "observability", "RudeSink"),
    spec("rude.discovery.v1", "discovery", "RudeDiscovery"),
    spec("rude.unfinished.v1", "rotation", "Unfinished"),
    spec("rude.absent.v1", "storage", "Absent"),
    spec("modelmesh.sqlite.v1", "storage", "RudeStorage"),
)
