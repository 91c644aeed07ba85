"""Asks providers for their model lists, and applies a list to the models in use.

Owns: the last list of every provider, as far as the router acts on it.
Must never: decide when to ask, or add models (`discovery/model_lists.py`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from meshd import messages
from meshd.core.events.cause import Cause, Why
from meshd.core.listed_models import sound
from meshd.gateway.actors import Tell
from meshd.gateway.runtime import Runtime
from meshd.gateway.upkeep.announcements import Announcements
from meshd.host import clock
from meshd.host.awake import Timeout
from meshd.routing.availability import recovery
from meshd.routing.availability.state import Change
from meshd.sdk.provider import FailureKind, ModelListing, Provider, ProviderFailure

logger = logging.getLogger("meshd.router")

AT_ONCE = 8
"""Concurrent requests about single models of one provider."""


class ModelLists:
    """For one router. Its coroutine raises only CancelledError."""

    def __init__(self, runtime: Runtime, tell: Tell, announcements: Announcements) -> None:
        self._runtime = runtime
        self._tell = tell
        self._announcements = announcements
        self._listed: dict[str, set[str]] = {}  # provider → the ids of its last list

    async def models(self, message: messages.ListModels) -> None:
        """Ask a provider for its models, and tell discovery."""
        found: tuple[dict[str, Any], ...] = ()
        error = ""
        try:
            with self._runtime.connectors.lease(message.provider) as provider:
                with Timeout(message.timeout):
                    listed = await provider.list_models()
                if message.details:
                    listed = await _detailed(provider, listed, message.timeout)
            found = tuple(model.to_dict() for model in sound(listed))
        except ProviderFailure as failure:
            error = failure.message
        except TimeoutError:
            error = f"no answer within {message.timeout:g} s"
        except Exception as bug:
            logger.exception("listing the models of %s failed unexpectedly", message.provider)
            error = f"the connector failed: {type(bug).__name__}"
        if not error and not found:
            error = "it lists no models"  # that may be temporary, and removes nothing
        if not error:
            self._announcements.listed(message.provider, found)
            self.compare(message.provider, {model["id"] for model in found if not model["deprecated"]})
        self._tell("discovery", messages.ModelsListed(message.provider, found, error))

    def compare(self, provider: str, listed: set[str]) -> None:
        """A model that its provider lists again is asked again at once; one that it no longer lists is set aside, if
        `on_deprecated_model` says so."""
        runtime = self._runtime
        before, self._listed[provider] = self._listed.get(provider, set()), listed
        config, now = runtime.config, clock.now()
        deactivates = config is not None and config.config.discovery.sync.on_deprecated_model == "deactivate"
        for model in runtime.table.models.values():
            if model.provider != provider:
                continue
            known = runtime.state.model(model.id).availability
            why = None
            if model.upstream in listed:
                if known.kind is FailureKind.MODEL_NOT_FOUND:
                    why = recovery.reset(known, now, Why(Cause.LISTED_AGAIN))
            elif deactivates and model.upstream in before:
                why = Why(Cause.NOT_LISTED, FailureKind.MODEL_NOT_FOUND)
                recovery.stand_by_indefinitely(known, why, now)
            if why is not None:
                change = Change("model", not known.standby, why, model=model.id, provider=provider)
                runtime.publisher.changed([change])


async def _detailed(provider: Provider, listed: list[ModelListing], timeout: float) -> list[ModelListing]:
    """Each model with its provider's own description if that says more, else as listed. timeout: seconds for all of
    them."""
    places, deadline = asyncio.Semaphore(AT_ONCE), clock.now() + timeout

    async def asked(model: ModelListing) -> ModelListing:
        try:
            with Timeout(max(deadline - clock.now(), 0.0)):
                async with places:
                    details = await provider.model_details(model.id)
        except (ProviderFailure, TimeoutError) as failure:
            logger.debug("%s does not describe %s: %s", provider.name, model.id, failure)
            return model
        return model if details is None else _merged(model, details)

    return list(await asyncio.gather(*map(asked, listed)))


def _merged(listed: ModelListing, details: ModelListing) -> ModelListing:
    return ModelListing(
        listed.id,
        details.capabilities or listed.capabilities,
        details.context_window or listed.context_window,
        details.max_output_tokens or listed.max_output_tokens,
        details.features or listed.features,
        details.deprecated or listed.deprecated,
        details.retires or listed.retires,
    )
