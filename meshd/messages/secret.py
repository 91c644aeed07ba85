"""What the secret actor hears, and its answers."""

from __future__ import annotations

from meshd.core.messaging.message import Message
from meshd.core.secret_sources import SecretSources, StoreStanding


class ResolveSecrets(Message, frozen=True):
    """→ secret; answered with SecretsResolved. `sources`: of a generation not yet committed; None: of the committed
    one. `fresh`: ask the stores again, ignoring the cache."""

    names: tuple[str, ...]
    sources: SecretSources | None = None
    fresh: bool = False


class SecretsResolved(Message, frozen=True):
    """missing: name → why. unreachable: those of them that a store may have that does not answer."""

    values: dict[str, str]
    missing: dict[str, str]
    unreachable: frozenset[str] = frozenset()

    def __repr__(self) -> str:  # a value never reaches a log
        return f"SecretsResolved({sorted(self.values)}, missing={sorted(self.missing)})"


class RefreshSecret(Message, frozen=True):
    """A provider refused the key made from these secrets: read them again → secret. Answered with SecretsLookedAt. If
    one has changed, config gets `Reload(secrets_only=True)` first."""

    names: tuple[str, ...]
    provider: str
    reason: str = "the provider refused the old value"


class ReadSecretsAgain(Message, frozen=True):
    """Read every secret again, also from stores that have just not answered → secret. Answered with SecretsLookedAt, as
    RefreshSecret is."""


class SecretFilesTouched(Message, frozen=True):
    """The watch saw a change of files that hold secrets → secret."""


class SecretsLookedAt(Message, frozen=True):
    """unsettled: they are being written; ask again in a moment."""

    changed: tuple[str, ...] = ()
    unsettled: bool = False


class SecretStandings(Message, frozen=True):
    """How the stores outside this process are, and which secrets keep their last known value because they cannot be
    read again: name → why (secret → router, whenever it has changed)."""

    stores: tuple[StoreStanding, ...] = ()
    kept: dict[str, str] = {}
