"""Sinks that the configuration names and that could not be made, or would get nothing.

Must never: make a sink.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meshd.config.check.error_messages import sentence
from meshd.config.schema_walk import keys_of
from meshd.connectors.registry import default_registry
from meshd.core.objection import Objection
from meshd.core.text.key_path import dotted
from meshd.telemetry.sinks import PARTS, WantedSink, entries, settings_of, sink_class
from modelmesh.errors import ConfigurationError


def objections_to(observability: Any) -> list[Objection]:
    """Why the section cannot be used; empty if it can."""
    objections: list[Objection] = []
    folders: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        at = ("observability", part, "connector")
        for entry in entries(observability, part) if getattr(observability, part).connector else ():
            try:
                cls = sink_class(entry.connector)
            except ConfigurationError as error:
                objections.append(Objection(at, str(error)))
                continue
            # Only the settings of both places together show whether one is missing.
            reasons = _faults_of(entry)
            if part == "tracing" and not cls.traces:
                reasons.append("takes no traces")
            if part in ("routing", "logging") and cls.only_metrics:
                reasons.append("takes only metrics, so it belongs in observability.statistics")
            settings = settings_of(cls, entry, part, Path())
            # A sink that lasts keeps its folder to itself.
            if cls.lasting and settings.get("path") and folders.setdefault(settings["path"], settings) != settings:
                reasons.append("uses the folder of another with other settings; give each a `path` of its own")
            objections += [Objection(at, f"{entry.connector} {why}") for why in reasons]
    if observability.logging.presidio_model and find_spec("presidio_analyzer") is None:
        why = 'needs Presidio; install it with pip install "modelmesh[presidio]"'
        objections.append(Objection(("observability", "logging", "presidio_model"), why))
    return objections


def _faults_of(entry: WantedSink) -> list[str]:
    """What is wrong with its settings, as words to follow its name."""
    spec = default_registry().find(entry.connector, "observability")
    schema = spec.load_settings() if spec is not None else None
    if schema is None:
        return []
    own = {key: value for key, value in entry.settings.items() if key in keys_of(schema) and value is not None}
    try:
        schema.model_validate(own)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [
            ": ".join(filter(None, (dotted(each["loc"]), sentence(each["type"], each.get("ctx", {}), each["msg"], ""))))
            for each in found
        ]
    return []
