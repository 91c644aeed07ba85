"""The secret actor: names to values, and the news that one has changed.

Owns: the `SecretResolver`. Hears from config (resolve) and from the router (a provider refused a key).
Must never: put a value into a log, a repr or an exception; values leave in `SecretsResolved` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from meshd import messages
from meshd.actors.base import Directory, MeshActor
from meshd.connectors.secrets.resolver import SecretResolver


class _Resolver(SecretResolver):
    def anew(
        self, names: Iterable[str], section: Any = None, folder: str = ""
    ) -> tuple[dict[str, str], dict[str, str], list[str]]:
        """As `resolve`, from the stores and not from memory; and the names that have another value now."""
        names = tuple(names)
        stores = self._section(section, folder) if section is not None else self._current()
        stores.forget(names)
        before = {name: self._seen.get(name) for name in names}
        values, missing = self.resolve(names, section, folder)
        return values, missing, [name for name in values if before[name] not in (None, self._seen[name])]


class SecretActor(MeshActor):
    name: ClassVar[str] = "secret"
    handlers: ClassVar[dict[type, str]] = {
        messages.Prepare: "prepare",
        messages.Commit: "commit",
        messages.Discard: "discard",
        messages.ResolveSecrets: "resolve",
        messages.RefreshSecret: "refresh",
    }

    def __init__(self, directory: Directory, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(directory)
        self._resolver = _Resolver(now=now)
        self._folder = ""  # config's last word; Prepare means the same section

    def legacy(self) -> Any:
        return self._resolver, self._folder

    def inherit(self, legacy: Any) -> None:
        if legacy is not None:
            self._resolver, self._folder = legacy

    def on_stop(self) -> None:
        self._resolver.close()

    def prepare(self, message: messages.Prepare) -> tuple[str, ...]:
        # As written: a store's own settings are never made of secrets that it would have to resolve itself.
        return tuple(self._resolver.prepare(message.generation.config.secrets, self._folder))

    def commit(self, message: messages.Commit) -> None:
        self._resolver.commit()

    def discard(self, message: messages.Discard) -> None:
        self._resolver.discard()

    def resolve(self, message: messages.ResolveSecrets) -> messages.SecretsResolved:
        if message.section is not None:
            self._folder = message.folder
        if not message.fresh:
            return messages.SecretsResolved(*self._resolver.resolve(message.names, message.section, message.folder))
        values, missing, changed = self._resolver.anew(message.names, message.section, message.folder)
        for name in changed:
            self._announce(name, "it has another value in its store")
        return messages.SecretsResolved(values, missing)

    def refresh(self, message: messages.RefreshSecret) -> None:
        changed = self._resolver.refresh(message.names)
        for name in changed:
            self._announce(name, message.reason, provider=message.provider)
        if changed:
            self.tell("config", messages.Reload(reason=f"secret {', '.join(changed)} rotated", secrets_only=True))

    def _announce(self, name: str, reason: str, **ids: str) -> None:
        ids = {"secret": name, **ids}
        self.tell("telemetry", messages.Event("secret_rotated", time.time_ns(), ids=ids, reason=reason))
