"""Models that are deployments with their own names, and APIs in which each has its own path (Azure OpenAI).

Owns: the quirk `by_deployment` (`path`, below which the deployments are, and `instead_of`, the API's path without
them), and the keys `api_version` and `deployments` of such a provider's section.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qs

from msgspec.structs import replace as changed

from meshd.sdk.provider import ModelListing, ProviderCall, ProviderSettings

_VERSION = "api-version"


class Deployments:
    """For one provider: model → the deployment that serves it, if that has another name."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._connector = settings.connector
        self._names: Mapping[str, str] = settings.options.get("deployments") or {}

    def asked(self, call: ProviderCall) -> ProviderCall:
        """The call, for its model's deployment."""
        name = self._names.get(call.model)
        return call if name is None else changed(call, model=name)

    def catalogued(self) -> list[ModelListing]:
        """The catalogue's models, for a provider that lists none; only the deployed ones, if those are known."""
        from meshd.catalogue.known import load_models

        listed = [row.listing() for row in load_models(self._connector)]
        return [model for model in listed if model.id in self._names] if self._names else listed


def by_deployment(settings: ProviderSettings) -> ProviderSettings:
    """The settings as requests need them: the same, unless a version of the API is configured, or the address is a
    deployment's. Such an API has only OpenAI's first format; newer ones are not available below a deployment."""
    quirk = settings.quirks.get("by_deployment")
    if quirk is None:
        return settings
    address, _, query = (settings.base_url or "").partition("?")
    before, mark, _ = address.partition(f"/{quirk['path']}/")
    version = settings.options.get("api_version")
    if mark and version is None:  # the address was copied from the portal
        version = next(iter(parse_qs(query).get(_VERSION, ())), None)
    if version is None:
        return settings
    base = before if mark else address.rstrip("/").removesuffix(f"/{quirk['instead_of']}")
    quirks = {
        **settings.quirks,
        "speaks": ["openai"],
        "path": f"{quirk['path']}/{{model}}/",
        "query": {**(settings.quirks.get("query") or {}), _VERSION: version},
    }
    return replace(settings, base_url=base, quirks=quirks)
