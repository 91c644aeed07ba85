"""Signatures for AWS (Signature Version 4), with credentials as AWS's own tools find them.

Owns: signing a request, and renewing credentials before they expire. botocore finds them: in the environment, shared
files and profiles, single sign-on, processes, containers, instances. It blocks, so it runs in a thread.
Must never: keep a credential anywhere but in memory, or put one into a message.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from meshd.connectors.providers.authorizations.threads import OwnThread
from meshd.connectors.providers.authorizations.tokens import NoToken
from meshd.connectors.providers.aws_region import region_of
from meshd.host import clock
from meshd.host.installing import how_to_install
from meshd.host.plain_text import printable
from meshd.sdk.calls.failure import FailureKind, ProviderFailure
from meshd.sdk.http.authorization import Learn, Unauthorized
from meshd.sdk.settings import ProviderSettings

SERVICE = "bedrock"
API_KEY = "AWS_BEARER_TOKEN_BEDROCK"
"""The variable with Bedrock's own API key, which takes precedence over all other credentials, as in AWS's SDKs."""
SOON = 15 * 60
"""Seconds before they expire at which credentials are renewed, while the old ones are still used."""
LATE = 60
"""Seconds before they expire at which a request waits for new ones."""
PAUSE = 10.0
"""Seconds from a failure or a renewal to the next one, since even finding no credentials takes seconds."""
_LARGE = 256 * 1024  # bytes of a body from which its digest would hold up other requests
_LONGEST = 300  # characters of botocore's message
_SIGNED = ("content-type",)
"""Headers that are signed besides the host, the date and the token; a proxy might change others."""


class _Found(NamedTuple):
    """source: botocore's object, which knows when they expire. keys: as they are now."""

    source: Any
    keys: Any


class AwsAuthorization:
    """For one provider. Raises ValueError without botocore, or without a region."""

    def __init__(self, settings: ProviderSettings, learn: Learn) -> None:
        try:  # imported here, since the first request would wait for it
            from botocore.auth import SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.session import Session
        except ImportError:
            raise ValueError(
                f"provider {settings.name}: auth.method aws needs the package botocore; install it with "
                f"{how_to_install('aws')}"
            ) from None
        self._new_session, self._request, self._signature = Session, AWSRequest, SigV4Auth
        self._profile: str | None = settings.auth.get("profile")
        self._region = region_of(settings)
        self._learn = learn
        learn([os.environ.get(API_KEY, "")])
        self._thread = OwnThread("the source of AWS credentials")
        self._found: _Found | None = None
        self._failed: NoToken | None = None
        self._not_before = 0.0  # of the next renewal
        self._renewing: asyncio.Task[_Found] | None = None

    async def headers(self, request: Unauthorized) -> Mapping[str, str]:
        if request.body is None:
            message = "AWS takes no body that is still being sent: it has to be signed"
            raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)
        if key := os.environ.get(API_KEY):
            return {"Authorization": f"Bearer {key}"}
        keys = await self._current()
        if len(request.body) > _LARGE:
            return await asyncio.get_running_loop().run_in_executor(None, self._signed, keys, request)
        return self._signed(keys, request)

    def refused(self, given: Mapping[str, str]) -> bool:
        used = given.get("Authorization", "")
        if used.startswith("Bearer "):
            return False
        if self._found is not None and self._found.keys.access_key not in used:  # they have been renewed since
            return True
        if clock.now() < self._not_before:
            return False
        self._found = None
        return True

    async def aclose(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()

    def _signed(self, keys: Any, request: Unauthorized) -> Mapping[str, str]:
        own = {name: value for name, value in request.headers.items() if name.lower() in _SIGNED}
        asked = self._request(request.method, request.url, headers=own, data=request.body)
        self._signature(keys, SERVICE, self._region).add_auth(asked)
        return dict(asked.headers.items())

    async def _current(self) -> Any:
        """Raises ProviderFailure."""
        found = self._found
        if found is None or _ends_within(found, LATE):
            if self._failed is not None and clock.now() < self._not_before:
                raise self._failed.failure()
            try:
                return (await asyncio.shield(self._renewal())).keys
            except NoToken as error:
                raise error.failure() from None
        if _ends_within(found, SOON) and clock.now() >= self._not_before:
            self._renewal()
        return found.keys

    def _renewal(self) -> asyncio.Task[_Found]:
        """The renewal in progress, or a new one: one at a time."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._renew())
            self._renewing.add_done_callback(_noted)
        return self._renewing

    async def _renew(self) -> _Found:
        source = None if self._found is None else self._found.source
        try:
            found = await self._thread.run(lambda: self._read(source))
        except NoToken as error:
            self._failed = error
            raise
        finally:
            self._not_before = clock.now() + PAUSE
        self._learn(each for each in (found.keys.secret_key, found.keys.token) if each)
        self._found, self._failed = found, None
        return found

    def _read(self, source: Any) -> _Found:
        """Blocks, for some seconds if an instance is asked for its credentials. Raises NoToken."""
        try:
            if source is None:
                source = self._new_session(profile=self._profile).get_credentials()
            if source is not None:
                return _Found(source, source.get_frozen_credentials())
        except Exception as error:  # any exception: the user's own process or file may cause it
            raise _lacking(printable(str(error))[:_LONGEST]) from None
        raise _lacking("there are none in the environment, in AWS's files, or on this machine")


def _lacking(why: str) -> NoToken:
    return NoToken(f"no AWS credentials: {why}", refused=True)


def _ends_within(found: _Found, seconds: float) -> bool:
    """Whether the credentials expire that soon; most that come from a file never do."""
    ends = getattr(found.source, "refresh_needed", None)
    return ends is not None and bool(ends(refresh_in=seconds))


def _noted(renewal: asyncio.Task[_Found]) -> None:
    """A failed renewal is reported only to requests that have no credentials."""
    if not renewal.cancelled():
        renewal.exception()
