"""What this package offers. Nothing else is imported until a configuration names it."""

from meshd.sdk.connector import ConnectorSpec

CONNECTORS = (
    ConnectorSpec(
        id="acme.parrot.v1",
        type="provider",
        description="Repeats what it is told",
        factory="acme_connectors.provider:Parrot",
        settings="acme_connectors.settings:ParrotSettings",
    ),
    ConnectorSpec(
        id="acme.heaviest-first.v1",
        type="rotation",
        description="The model of the largest weight",
        factory="acme_connectors.strategy:HeaviestFirst",
    ),
    ConnectorSpec(
        id="acme.ini.v1",
        type="secret-store",
        description="The section [secrets] of an INI file",
        factory="acme_connectors.secrets:IniStore",
        settings="acme_connectors.settings:PathSettings",
    ),
    ConnectorSpec(
        id="acme.folder.v1",
        type="storage",
        description="A file for each key",
        factory="acme_connectors.storage:Folder",
        settings="acme_connectors.settings:PathSettings",
    ),
    ConnectorSpec(
        id="acme.lines.v1",
        type="observability",
        description="A text file, a line for each entry",
        factory="acme_connectors.sink:Lines",
        settings="acme_connectors.settings:PathSettings",
    ),
    ConnectorSpec(
        id="acme.server-list.v1",
        type="discovery",
        description="Servers that a text file lists",
        factory="acme_connectors.discovery:ServerList",
        settings="acme_connectors.settings:PathSettings",
    ),
    ConnectorSpec(
        id="acme.word-guard.v1",
        type="hook",
        description="Refuses requests with certain words",
        factory="acme_connectors.hook:WordGuard",
        settings="acme_connectors.settings:WordSettings",
    ),
)
