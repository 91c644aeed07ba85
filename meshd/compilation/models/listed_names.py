"""Which names the models of providers' lists may have.

Owns: `PROVIDER.MODEL` for each of them, and the notes about those whose name is taken.
Must never: let any list take the name of a configured model, a configured provider or a pool.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from meshd.routing.table.specs import ModelSpec, Origin
from modelmesh.wording import few

_SHOWN = 3


class ListedNames:
    """models: configured ids. providers: configured names. found: names of servers that discovery found."""

    def __init__(self, models: Iterable[str], providers: Collection[str], found: Collection[str]) -> None:
        self._models = frozenset(models)
        self._providers = providers
        self._names = frozenset(providers) | frozenset(found)
        self._taken: set[str] = set()
        self._hidden: dict[str, list[str]] = {}

    def take(self, model: ModelSpec) -> bool:
        """Whether a listed model may have its id. A model that is listed twice appears once."""
        if model.id in self._models or self._namespace(model.id) != model.provider:
            self._hidden.setdefault(model.provider, []).append(model.id)
            return False
        if model.id in self._taken:
            return False
        self._taken.add(model.id)
        return True

    def notes(self, models: Iterable[ModelSpec], pools: Collection[str]) -> Iterator[str]:
        """What an operator should know. models: all that were taken."""
        for provider, ids in self._hidden.items():
            yield f"provider {provider}: the name {few(ids, _SHOWN)} is taken; give its model another id in `models`"
        configured: set[str] = {*pools, *self._models}
        found: dict[str, list[str]] = {}
        for model in models:
            if model.origin is Origin.FOUND:
                found.setdefault(model.provider, []).append(model.upstream)
            else:
                configured.add(model.upstream)
        for provider, names in found.items():
            if same := [name for name in names if name in configured]:
                listed = few(same, _SHOWN)
                yield f"the server {provider} lists {listed} too: ask for {provider}.{same[0]} to get its own"

    def _namespace(self, id: str) -> str:
        """The provider whose models have such ids: `a.b.c` belongs to `a.b` rather than `a`, and to a configured
        provider before others."""
        parts = [id[:at] for at, character in enumerate(id) if character == "." and id[:at] in self._names]
        return max(parts, key=lambda name: (name in self._providers, len(name)), default="")
