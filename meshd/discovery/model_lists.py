"""`modelmesh.registry-sync.v1`: compares providers' model lists with their earlier ones.

Owns: the schedule of listings, the last list of every provider, and which models are added from it.
Must never: do I/O or read a clock. A provider's first list is the baseline; `on_new_model` and `on_deprecated_model`
apply to later changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.discovery.settings import SyncSettings, concerns
from meshd.formats.openai.models import guess_capabilities
from meshd.messages import CatalogueChanged, ListModels, ModelsListed

LIST_TIMEOUT = 15.0
FIRST_RETRY = 30.0  # s after a failed listing; doubles up to the interval
UNLISTED_RETRY = 0.5  # s the same, for a provider without a list so far: until then, its models cannot be asked
GRACE = 5.0


class Source(msgspec.Struct, frozen=True):
    """A provider to list. registers: models are added from its list. details: each model is requested separately.
    capabilities: those that the provider states are used; otherwise they are guessed from names.
    """

    name: str
    registers: bool
    interval: float
    details: bool = False
    capabilities: bool = True

    @property
    def patience(self) -> float:
        """Seconds after which a listing counts as lost."""
        return LIST_TIMEOUT * (2 if self.details else 1) + GRACE


@dataclass(slots=True)
class _Listed:
    source: Source
    due: float
    asked_at: float | None = None
    failures: int = 0
    error: str = ""
    seen: dict[str, dict[str, Any]] | None = None  # the last list
    offered: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: bool = False


class Difference(msgspec.Struct, frozen=True):
    """The result of a listing. change: for the config actor; None if nothing changes."""

    provider: str
    new: tuple[str, ...]
    gone: tuple[str, ...]
    models: int
    first: bool
    error: str = ""
    change: CatalogueChanged | None = None
    notify: bool = False

    def row(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "kind": "provider",
            "models": self.models,
            "new": list(self.new),
            "gone": list(self.gone),
            "error": self.error,
        }


class RegistrySync:
    def __init__(self) -> None:
        self.settings = SyncSettings()
        self._listed: dict[str, _Listed] = {}

    def configure(self, settings: SyncSettings, sources: Iterable[Source], now: float) -> None:
        self.settings = settings
        before, self._listed = self._listed, {}
        for source in sources:
            kept = before.get(source.name)
            if kept is None:
                kept = _Listed(source, now)
            elif source.registers and not kept.source.registers and kept.seen is not None:
                kept.due = now  # its list counts now
                kept.seen = None
            kept.source = source
            kept.due = min(kept.due, now + source.interval)
            self._listed[source.name] = kept

    def due(self, now: float, *, everything: bool = False) -> list[ListModels]:
        """Listings to ask for now."""
        asks = []
        for name, listed in self._listed.items():
            if listed.asked_at is not None and now - listed.asked_at > listed.source.patience:
                listed.asked_at = None  # the router was restarted in the meantime
            if listed.asked_at is not None:
                continue
            if everything or (concerns(self.settings, name) and listed.due <= now):
                listed.asked_at = now
                asks.append(ListModels(name, LIST_TIMEOUT, listed.source.details))
        return asks

    def next_due(self, now: float) -> float | None:
        times = [
            listed.asked_at + listed.source.patience if listed.asked_at is not None else listed.due
            for name, listed in self._listed.items()
            if concerns(self.settings, name)
        ]
        return max(0.0, min(times) - now) if times else None

    def awaited(self) -> set[str]:
        """Providers that have not answered yet."""
        return {name for name, listed in self._listed.items() if listed.asked_at is not None}

    def unlisted(self) -> set[str]:
        """Providers whose models come from their first list, which has not arrived yet."""
        return {
            name
            for name, listed in self._listed.items()
            if listed.source.registers and not listed.told and concerns(self.settings, name)
        }

    def models_listed(self, message: ModelsListed, now: float) -> Difference | None:
        listed = self._listed.get(message.provider)
        if listed is None:
            return None
        listed.asked_at = None
        if message.error:
            listed.failures += 1
            listed.error = message.error
            first = FIRST_RETRY if listed.seen is not None else UNLISTED_RETRY
            listed.due = now + min(listed.source.interval, first * 2.0 ** min(listed.failures - 1, 20))
            return Difference(message.provider, (), (), len(listed.offered), False, message.error)
        listed.failures, listed.error = 0, ""
        listed.due = now + listed.source.interval
        current = {str(model["id"]): dict(model) for model in message.models if not model.get("deprecated")}
        if not listed.source.capabilities:
            for id, model in current.items():
                model["capabilities"], model["features"] = list(guess_capabilities(id)), []
        return self._compare(listed, current)

    def _compare(self, listed: _Listed, current: dict[str, dict[str, Any]]) -> Difference:
        settings, name = self.settings, listed.source.name
        before = listed.seen
        listed.seen = current
        offered = dict(listed.offered)
        new = tuple(sorted(current.keys() - before.keys())) if before is not None else ()
        gone = tuple(sorted(before.keys() - current.keys())) if before is not None else ()
        for id, model in current.items():
            # Models in use are refreshed; new ones are added if configured.
            if before is None or id in offered or (id in new and settings.on_new_model == "register"):
                offered[id] = model
        if before is None or settings.on_deprecated_model == "deactivate":
            offered = {id: model for id, model in offered.items() if id in current}
        change = None
        if listed.source.registers and (offered != listed.offered or not listed.told):
            change = CatalogueChanged(name, tuple(offered.values()))
            listed.told = True
        listed.offered = offered
        said_new = new and settings.on_new_model != "ignore"
        said_gone = gone and settings.on_deprecated_model != "ignore"
        notify = bool(said_new or said_gone)
        return Difference(name, new, gone, len(current), before is None, change=change, notify=notify)


def sources_of(generation: Any, found: Mapping[str, Any]) -> list[Source]:
    """The generation's providers to list; the scan lists local servers."""
    config = generation.config
    sync = config.discovery.sync
    with_models = {model.provider for model in config.models.values()}
    sources = []
    for name in generation.providers:
        section = config.providers.get(name)
        if name in found or section is None or section.discovery.enumerate_models is False:
            continue
        spec = generation.table.providers[name]
        if spec.disabled or spec.app_keys:
            continue  # without its key, it would refuse, or list models that it does not serve to us
        everything = section.catalogue.auto_discover or sync.auto_register
        own = "refresh_interval" in section.catalogue.model_fields_set
        interval = section.catalogue.refresh_interval if own else sync.interval
        sources.append(
            Source(
                name,
                everything or name not in with_models,
                max(interval, 1.0),
                section.discovery.model_details is True,
                section.discovery.capability_query is not False,
            )
        )
    return sources
