"""The secret actor: names to values, and the news that one has changed.

Owns: the `SecretResolver`. Hears from config (resolve) and from the router (a provider refused a key).
Must never: put a value into a log, a repr or an exception; values leave in `SecretsResolved` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from meshd import messages
from meshd.actors.base import Directory, MeshActor
from meshd.connectors.secrets.resolver import SecretResolver


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
        self._resolver = SecretResolver(now=now)
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
        values, missing = self._resolver.resolve(message.names, message.section, message.folder)
        return messages.SecretsResolved(values, missing)

    def refresh(self, message: messages.RefreshSecret) -> None:
        changed = self._resolver.refresh(message.names)
        for name in changed:
            self.tell(
                "telemetry",
                messages.Event(
                    "secret_rotated",
                    time.time_ns(),
                    ids={"secret": name, "provider": message.provider},
                    reason="the provider refused the old value",
                ),
            )
        if changed:
            self.tell("config", messages.Reload(reason=f"secret {', '.join(changed)} rotated"))
