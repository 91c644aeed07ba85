"""Sinks that the configuration names and that could not be made, or would get nothing.

Must never: make a sink.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meshd.config.check.error_messages import sentence
from meshd.config.schema_walk import keys_of
from meshd.connectors.registry import default_registry
from meshd.core.objection import Objection
from meshd.core.text.exceptions import one_line
from meshd.core.text.key_path import dotted
from meshd.host.installing import how_to_install
from meshd.net.connections.tls import certificate_fault
from meshd.sdk.observability import Sink
from meshd.telemetry.presidio import child as presidio
from meshd.telemetry.sinks import PARTS, WantedSink, entries, settings_of, sink_class
from modelmesh.errors import ConfigurationError

_TRIED_WITHIN = 5.0  # s, all sinks together; a reload waits for it


def objections_to(observability: Any) -> list[Objection]:
    """Why the section cannot be used; empty if it can."""
    objections: list[Objection] = []
    folders: dict[str, dict[str, Any]] = {}
    trials = _Trials()
    for part in PARTS:
        at = ("observability", part, "connector")
        for entry in entries(observability, part) if getattr(observability, part).connector else ():
            try:
                cls = sink_class(entry.connector)
            except ConfigurationError as error:
                objections.append(Objection(at, str(error)))
                continue
            reasons = trials.faults_of(cls, entry)
            if part == "tracing" and not cls.traces:
                reasons.append("takes no traces")
            if part in ("routing", "logging") and cls.only_metrics:
                reasons.append("takes only metrics, so it belongs in observability.statistics")
            settings = settings_of(cls, entry, part, Path())
            # A sink that lasts keeps its folder to itself.
            if cls.lasting and settings.get("path") and folders.setdefault(settings["path"], settings) != settings:
                reasons.append("uses the folder of another with other settings; give each a `path` of its own")
            objections += [Objection(at, f"{entry.connector} {why}") for why in reasons]
    model = observability.logging.presidio_model
    if model and (why := _presidio_fault(model)):
        objections.append(Objection(("observability", "logging", "presidio_model"), why))
    return objections


class _Trials:
    """Of sinks, as far as that shows what is wrong with them. Those with the same settings are tried once."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _TRIED_WITHIN
        self._found: dict[tuple[type[Sink], str], str] = {}

    def faults_of(self, cls: type[Sink], entry: WantedSink) -> list[str]:
        """In words to follow its name."""
        try:
            # Only the settings of both places together show whether one is missing.
            settings = _own_settings(entry)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            return [_said(dotted(each["loc"]), sentence(each["type"], each.get("ctx", {}), each["msg"], ""))
                    for each in found]  # fmt: skip
        ca_file = settings.get("ca_file")
        if isinstance(ca_file, str) and (fault := certificate_fault(ca_file)):
            return [_said("ca_file", f"{ca_file} {fault}")]
        key = cls, repr(settings)
        if key not in self._found:
            self._found[key] = _fault_of(cls, settings, max(0.0, self._until - time.monotonic()))
        return [self._found[key]] if self._found[key] else []


def _fault_of(cls: type[Sink], settings: dict[str, Any], within: float) -> str:
    try:
        return cls.fault(settings, within)
    except Exception as error:  # it may be another package's
        return f"cannot be checked: {one_line(error)}"


def _own_settings(entry: WantedSink) -> dict[str, Any]:
    """Without those of others in its section. Raises ValidationError."""
    spec = default_registry().find(entry.connector, "observability")
    schema = spec.load_settings() if spec is not None else None
    if schema is None:
        return entry.settings
    own = {key: value for key, value in entry.settings.items() if key in keys_of(schema) and value is not None}
    checked: dict[str, Any] = schema.model_validate(own).model_dump()
    return checked


def _said(key: str, why: str) -> str:
    return f"{key}: {why}" if key else why


def _presidio_fault(model: str) -> str:
    if find_spec("presidio_analyzer") is None:
        return f"needs Presidio; install it with {how_to_install('presidio')}"
    return presidio.fault(model)
