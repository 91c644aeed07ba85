"""Which batches are passed on to a provider's own batch API, and to which provider.

Owns: that choice. Must never: send anything.

A batch is passed on if all its lines name the same model or pool, and a model of it declares `delivery.batch` and is in
service: the first such model in the pool's order. Hooks see every request, so with hooks none is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from meshd.compilation.compile import fingerprint
from meshd.config.schema.routing.models import ModelBatchConfig
from meshd.core.caller import Caller
from meshd.formats.batches.known import APIS
from meshd.gateway.batches.passed.settings import batch_settings
from meshd.gateway.batches.records import AtProvider, BatchRecord
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken
from meshd.host import clock
from meshd.routing.rates.places import next_key
from meshd.routing.table.specs import ModelSpec, UnknownModel
from meshd.sdk.provider import ProviderFailure
from modelmesh.errors import MeshError

if TYPE_CHECKING:
    from meshd.gateway.batches.passed.prepared import Preparing


class Passing:
    """hooked: whether there are hooks now."""

    def __init__(self, runtime: Runtime, spoken: Mapping[str, Spoken], hooked: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._spoken = spoken
        self._hooked = hooked

    def choose(self, caller: Caller, model: str, lines: int, size: int) -> AtProvider | None:
        """model: the name that all lines have as `model`, "" if they differ. size: bytes of the file."""
        if self._hooked():
            return None
        for id in self._members(model, caller):
            spec = self._runtime.table.models[id]
            api = self._api(spec, lines, size) if spec.batch else ""
            if api:
                return self._at(spec, api)
        return None

    def _members(self, model: str, caller: Caller) -> Sequence[str]:
        """Ids of the models that may answer; none if the caller may not use it."""
        try:
            target = self._runtime.table.resolve(model)
            self._runtime.apps.check(self._runtime.apps.identify(caller), target)
        except (UnknownModel, MeshError):
            return ()
        return tuple(target.pool.members)

    def _at(self, model: ModelSpec, api: str) -> AtProvider:
        runtime = self._runtime
        several = next_key(runtime.state.rates, runtime.table.providers[model.provider], clock.now())
        with runtime.connectors.lease(model.provider) as provider:
            only = provider.settings.api_key
        key = several or (fingerprint(only) if only else "")
        return AtProvider(model.provider, api, model.id, key, not several)

    def settled_by(self, model: str, caller: Caller) -> str:
        """The id of the model whose `batch` settings count for a batch that is not passed on: the one that all its
        lines name, or the only one of the pool that they name. model: see `choose`."""
        members = self._members(model, caller)
        return members[0] if len(members) == 1 else ""

    def settings(self, model: str) -> ModelBatchConfig:
        """The settings of a model, by its id."""
        return batch_settings(self._runtime, model)

    def preparing(self, record: BatchRecord, caller: Caller, at: AtProvider) -> Preparing:
        from meshd.gateway.batches.passed.prepared import Preparing

        return Preparing(self._runtime, self._spoken[record.endpoint], caller, record.endpoint, at.model)

    def _api(self, model: ModelSpec, lines: int, size: int) -> str:
        """ "" if its provider cannot take this batch now."""
        runtime, name = self._runtime, model.provider
        if runtime.table.providers[name].disabled or runtime.state.model(model.id).deactivated is not None:
            return ""
        configured = runtime.config.config.providers.get(name) if runtime.config is not None else None
        if configured is not None:
            batch, files = configured.batch, configured.files
            if batch.supported is False or files.upload is False:
                return ""
            if lines > (batch.max_items or lines) or size > (files.max_size or size):
                return ""
        try:
            with runtime.connectors.lease(name) as provider:
                return provider.batches if provider.batches in APIS else ""
        except ProviderFailure:
            return ""
