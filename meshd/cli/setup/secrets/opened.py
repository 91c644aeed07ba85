"""The secret stores of a configuration, opened by the user who runs `meshctl secrets`.

Owns: which of them a command is for.
Must never: use a later store if an earlier one cannot be asked, since that one may have the secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshd.cli import daemon

if TYPE_CHECKING:
    from meshd.config import MeshConfig
    from meshd.sdk.secrets import SecretStore


_NONE = "no secret store is configured"


class Unasked(daemon.Refused):
    """A store cannot be asked for a secret. id: the store's. others: whether there are other stores to choose."""

    def __init__(self, id: str, why: str, others: bool) -> None:
        super().__init__(f"{why}; --store chooses another store" if others else why)
        self.id = id
        self.why = why


@dataclass(frozen=True, slots=True)
class Held:
    """A secret in the store that has it. id: the store's."""

    name: str
    id: str
    store: SecretStore
    value: str

    def require_writable(self) -> None:
        """Raises Refused."""
        if not self.store.writable:
            raise daemon.Refused(f"{self.id} has {self.name}, and cannot be written")


@dataclass(frozen=True, slots=True)
class Opened:
    """source: of the configuration, as the daemon names it. stores: in their order, each with its id; None for one that
    cannot be used, for a reason that is one of `problems`."""

    config: MeshConfig
    source: str
    stores: list[tuple[str, SecretStore | None]]
    problems: list[str]

    def chosen(self, store: str | None) -> list[tuple[str, SecretStore | None]]:
        """Those that were asked for. Raises Misused."""
        if store is None:
            return self.stores
        from meshd.connectors.registry import default_registry

        spec = default_registry().find(store, "secret-store")
        wanted = {store, spec.id if spec else store, *(spec.aliases if spec else ())}
        found = [(id, each) for id, each in self.stores if id in wanted]
        if not found:
            raise daemon.Misused(f"{store} is not among the stores: {', '.join(id for id, _ in self.stores)}")
        return found

    def writable(self, store: str | None) -> tuple[str, SecretStore]:
        """The first one that can be written. Raises Refused."""
        chosen = self.chosen(store)
        for id, each in chosen:
            if each is None:
                raise self._unusable(id)
            if each.writable:
                return id, each
        names = ", ".join(id for id, _ in chosen)
        raise daemon.Refused(
            f"{names} cannot be written; docs/secrets.md lists the stores that can" if names else _NONE
        )

    def holder(self, name: str, store: str | None) -> Held:
        """The first one that has the secret. Raises Refused."""
        from meshd.sdk.secrets import SecretMissing, SecretStoreError

        reasons: list[str] = []
        chosen = self.chosen(store)
        for id, each in chosen:
            if each is None:
                raise self._unusable(id)
            try:
                return Held(name, id, each, each.get(name))
            except SecretMissing as error:
                reasons.append(str(error))
            except SecretStoreError as error:
                others = len(chosen) > 1
                raise Unasked(id, f"{id} cannot be asked: {error}" if others else str(error), others) from None
        raise daemon.Refused("; ".join(dict.fromkeys(reasons)) or _NONE)

    def _unusable(self, id: str) -> Unasked:
        return Unasked(id, "; ".join(self.problems), len(self.stores) > 1)


def _in_order(ids: list[str], usable: list[tuple[str, SecretStore]]) -> list[tuple[str, SecretStore | None]]:
    """All stores, with None for those that are not usable."""
    left = list(usable)
    return [left.pop(0) if left and left[0][0] == id else (id, None) for id in ids]


def _with_places(problems: list[str], config: MeshConfig) -> list[str]:
    """Why stores cannot be made, as the check of the configuration says it, which knows the file and the line."""
    found = [str(problem) for problem in config.validate() if problem.path.startswith("secrets")] if problems else []
    return found or problems


@contextmanager
def opened(path: Path | None) -> Iterator[Opened]:
    """The stores of the configuration. An error of a store ends the command with exit code 1."""
    from meshd.cli.setup.configuration import at_hand
    from meshd.compilation.secret_sources import secret_sources
    from meshd.config import MeshConfig
    from meshd.connectors.secrets.stores import SecretStores
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    config, source = at_hand() if path is None else (MeshConfig.from_file(path), str(path))
    sources = secret_sources(config)
    stores = SecretStores(sources)
    try:
        in_order = _in_order([id for id, _ in sources.stores], stores.named)
        yield Opened(config, source, in_order, _with_places(stores.problems, config))
    except (SecretMissing, SecretStoreError) as error:
        raise daemon.Refused(str(error)) from None
    finally:
        stores.close()
