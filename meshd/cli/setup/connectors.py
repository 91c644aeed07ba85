"""`meshctl connectors`: the connectors of this installation. It needs no daemon.

Must never: import a connector to list it. One of another package is imported only to find out whether it can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import asdict

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.sdk.connector import DISTRIBUTION
from modelmesh.wording import no_such

if TYPE_CHECKING:
    from meshd.connectors.registry import ConnectorRegistry
    from meshd.sdk.connector import ConnectorSpec

app = helping.Commands()


def _ids(incomplete: str) -> list[str]:
    from meshd.connectors.registry import default_registry

    return [spec.id for spec in default_registry().list_connectors() if spec.id.startswith(incomplete)]


@app.command(rich_help_panel=out.SET_UP)
def connectors(
    connector: Annotated[
        str | None, typer.Argument(help="One id or alias, in detail.", metavar="ID", autocompletion=_ids)
    ] = None,
    type: Annotated[
        str | None, typer.Option(help="provider, rotation, secret-store, storage, observability, discovery, hook.")
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """List the connectors of this installation; with an id, show one and its keys.

    $ meshctl connectors openai.llm.v1
    $ meshctl connectors --type provider
    """
    from meshd.connectors.registry import default_registry
    from meshd.sdk.connector import TYPES

    if type is not None and type not in TYPES:
        raise daemon.Misused(no_such("type of connector", type, TYPES))
    registry = default_registry()
    if connector is not None:
        spec = registry.find(connector, type)
        if spec is None:
            raise daemon.Misused(_why_unknown(registry, connector, type))
        found = _described(registry, spec)
        out.print_json(found) if as_json else _show(found, _defaults(spec))
        return
    specs = registry.list_connectors(type)
    if as_json:
        left_out = [asdict(fault) for fault in registry.faults()]
        out.print_json({"data": [_summary(registry, spec) for spec in specs], "left_out": left_out})
        return
    out.print_table(
        ["id", "type", "key from", "description"],
        [[spec.id, spec.type, list(spec.key_env), _about(registry, spec)] for spec in specs],
        empty="none",
    )
    for fault in registry.faults():
        out.say(f"left out: {fault}", "yellow", hang=2)


def _why_unknown(registry: ConnectorRegistry, connector: str, type: str | None) -> str:
    if registry.why_retired(connector, type):
        return registry.why_unknown(connector, type)
    if said := registry.left_out(connector):
        return f"there is no connector {connector!r}{said}"
    specs = registry.list_connectors(type)
    names = dict.fromkeys(name for spec in specs for name in (spec.id, *spec.aliases))
    return no_such(f"{type} connector" if type else "connector", connector, names)


def _about(registry: ConnectorRegistry, spec: ConnectorSpec) -> str:
    whose = f" (of the package {spec.package})" if spec.is_outside else ""
    if registry.missing_packages(spec):
        whose += f" (not installed: {spec.install_hint})"
    return f"{spec.description}{whose}".strip()


def _summary(registry: ConnectorRegistry, spec: ConnectorSpec) -> dict[str, Any]:
    missing = registry.missing_packages(spec)
    return {
        "id": spec.id,
        "type": spec.type,
        "description": spec.description,
        "package": spec.package,
        "aliases": list(spec.aliases),
        "key_env": list(spec.key_env),
        "missing": list(missing),
        "install": spec.install_hint if missing else None,
    }


def _described(registry: ConnectorRegistry, spec: ConnectorSpec) -> dict[str, Any]:
    """The summary, its row of the catalogue, its own keys, and those of the section that names it. unusable: why it
    would fail; only a connector of another package is imported to find out."""
    settings = spec.load_settings()
    return {
        **_summary(registry, spec),
        "unusable": registry.why_unusable(spec) or None,
        "row": dict(spec.row),
        "settings": settings.model_json_schema() if settings is not None else {},
        "section": _section(spec),
    }


def _defaults(spec: ConnectorSpec) -> dict[str, str]:
    """Of its own keys, as they are written."""
    from meshd.config.write.docs import settings_of

    settings = spec.load_settings()
    return {each.key: each.default.replace("`", "") for each in settings_of(settings)} if settings is not None else {}


def _section(spec: ConnectorSpec) -> dict[str, Any] | None:
    """The section that names it; None if the configuration does not name it."""
    from meshd.config.write.docs import section_of, settings_of

    if spec.section:
        return None
    name, section = section_of(spec.type)
    keys = [
        {"key": each.key, "default": each.default.replace("`", ""), "meaning": each.meaning}
        for each in settings_of(section)
    ]
    return {"name": name, "keys": keys}


def _show(found: dict[str, Any], defaults: Mapping[str, str]) -> None:
    out.say(found["id"], out.HEAD)
    row = found["row"]
    shown = {
        name: value for name, value in row.items() if name not in ("id", "aliases", "description", "key_env", "models")
    }
    out.print_fields(
        [
            ("type", found["type"]),
            ("description", found["description"]),
            ("package", found["package"] if found["package"] != DISTRIBUTION else None),
            ("cannot be used", (found["unusable"], out.BAD) if found["unusable"] else None),
            ("also called", found["aliases"]),
            ("key from", found["key_env"]),
            ("not installed", (found["install"], out.BAD) if found["install"] else None),
            *((name.replace("_", " "), value) for name, value in shown.items() if not isinstance(value, dict)),
            ("models", [model.get("id") for model in row.get("models") or () if isinstance(model, dict)]),
        ]
    )
    properties = found["settings"].get("properties") or {}
    if properties:
        out.say()
    out.print_table(
        ["key", "type", "default", "meaning"],
        [[name, _kind(part), defaults.get(name), part.get("description")] for name, part in properties.items()],
    )

    section = found["section"]
    if section is not None:
        out.say()
        out.print_table(
            ["key", "default", "meaning"],
            [[row["key"], row["default"], row["meaning"]] for row in section["keys"]],
            title=f"and every {section['name']} takes",
        )


def _kind(part: dict[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(kind for kind in map(_kind, part["anyOf"]) if kind != "null")
    return str(part.get("type") or part.get("$ref", "").rpartition("/")[2])
