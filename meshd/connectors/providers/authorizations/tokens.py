"""A token that expires: one for all requests of a provider, renewed before it does.

Owns: when it is renewed, one renewal at a time, and how a failed one is reported. Must never: show a token.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from meshd.host.awake import Timeout
from meshd.sdk.http.authorization import Learn, Unauthorized
from meshd.sdk.provider import FailureKind, ProviderFailure

_USUAL_LIFE = 3600.0
"""Seconds that a token lasts if the server does not say. If it expires earlier, a 401 says so."""
_LONGEST_LIFE = 24 * 3600.0
_EARLY = 60.0  # s before its expiry at which a token is renewed; for a short-lived one, a fifth of its life
_PAUSE = 1.0  # s after a failed renewal until the next one
_TO_END = 2.0  # s that a renewal still gets when its provider is closed: a refresh token may have been replaced
_MOST_BYTES = 32 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Token(NamedTuple):
    """life: seconds from now; None: unknown."""

    text: str
    life: float | None

    def __repr__(self) -> str:
        return "Token(•••)"


class NoToken(Exception):
    """Why there is no token. refused: the credentials were refused; otherwise, the server failed."""

    def __init__(self, message: str, *, refused: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.refused = refused
        self.retry_after = retry_after

    def failure(self) -> ProviderFailure:
        """A new exception for each request."""
        kind = FailureKind.AUTHENTICATION if self.refused else FailureKind.CONNECTION
        return ProviderFailure(kind, self.message, unsent=True, retry_after=self.retry_after)


class Source(Protocol):
    """Where tokens come from. where: for messages. patience: seconds that a renewal may take."""

    where: str
    patience: float

    async def renew(self) -> Token:
        """Raises NoToken."""

    async def aclose(self) -> None: ...


def since_boot() -> float:
    """Seconds, including those in which the machine was suspended: a token can expire then, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Tokens:
    """An `Authorization`. secrets: of the provider; they are learned again with each token, so that many tokens do not
    push them out of what is masked."""

    def __init__(
        self, source: Source, secrets: Iterable[str], learn: Learn, now: Callable[[], float] = since_boot
    ) -> None:
        self._source = source
        self._secrets = tuple(secrets)
        self._learn = learn
        self._now = now
        self._header = ""
        self._early = self._ends = 0.0
        self._renewal: asyncio.Task[str | NoToken] | None = None
        self._failed: tuple[float, NoToken] | None = None

    async def headers(self, request: Unauthorized) -> Mapping[str, str]:
        now = self._now()
        if self._header and now < self._ends:
            if now >= self._early and not self._pauses(now):
                self._renewing()
            return {"Authorization": self._header}
        if self._failed is not None and self._pauses(now):
            raise self._failed[1].failure()
        # Cancelling a request that waits does not end the renewal.
        outcome = await asyncio.shield(self._renewing())
        if isinstance(outcome, NoToken):
            raise outcome.failure()
        return {"Authorization": outcome}

    def refused(self, given: Mapping[str, str]) -> bool:
        if given.get("Authorization") == self._header:  # else it has been renewed since
            self._header = ""
        return True

    async def aclose(self) -> None:
        renewal = self._renewal
        if renewal is not None:
            await asyncio.wait({renewal}, timeout=_TO_END)
            renewal.cancel()
        await self._source.aclose()

    def _pauses(self, now: float) -> bool:
        return self._failed is not None and now < self._failed[0] + _PAUSE

    def _renewing(self) -> asyncio.Task[str | NoToken]:
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().create_task(self._renew())
            self._renewal.add_done_callback(self._renewed)
        return self._renewal

    def _renewed(self, task: asyncio.Task[str | NoToken]) -> None:
        self._renewal = None

    async def _renew(self) -> str | NoToken:
        """The header. A failure is returned: no request may be waiting for it."""
        source = self._source
        try:
            with Timeout(source.patience):
                token = await source.renew()
            if not _TOKEN.fullmatch(token.text) or len(token.text) > _MOST_BYTES:
                raise NoToken(f"{source.where} gave a token that cannot be sent in a header")
        except TimeoutError:
            failed = NoToken(f"{source.where} gave no token within {source.patience:g} s")
        except NoToken as error:
            failed = error
        except Exception as error:  # from a library; its text may contain anything
            failed = NoToken(f"{source.where} gave no token: {type(error).__name__}")
        else:
            self._failed = None
            self._keep(token)
            return self._header
        self._failed = self._now(), failed
        return failed

    def _keep(self, token: Token) -> None:
        self._learn([*self._secrets, token.text])
        now = self._now()
        life = _USUAL_LIFE if token.life is None else min(max(token.life, 0.0), _LONGEST_LIFE)
        self._header = f"Bearer {token.text}"
        self._ends = now + life
        self._early = self._ends - min(_EARLY, life / 5)
