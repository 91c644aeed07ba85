"""Connectors across generations."""

from __future__ import annotations

import asyncio

import pytest

from meshd.connectors.registry import ConnectorRegistry
from meshd.gateway.configured.connector_pool import ConnectorPool
from meshd.gateway.requests.streams.relay import Broken
from meshd.sdk.connector import ConnectorSpec
from meshd.sdk.provider import FailureKind, Provider, ProviderFailure, ProviderSettings


class Closing(Provider):
    closed = False

    async def execute(self, call):
        raise NotImplementedError

    def stream(self, call):
        raise NotImplementedError

    async def list_models(self):
        return []

    async def aclose(self):
        self.closed = True
        if self.settings.base_url == "bad":
            raise OSError("will not close")


def registry():
    made = ConnectorRegistry(builtin=False, outside=False)
    made.register("closing", Closing, type="provider")
    made.register(ConnectorSpec("missing", "provider", "", extra="local", requires=("no_such_package",)))
    return made


def settings(name, **changes):
    return ProviderSettings(name, **{"connector": "closing", **changes})


@pytest.fixture
async def providers():
    made = ConnectorPool(registry())
    yield made
    await made.close()


def leased(providers, name):
    with providers.lease(name) as provider:
        return provider


async def closed(*providers):
    async with asyncio.timeout(5):
        while not all(provider.closed for provider in providers):  # noqa: ASYNC110 - tasks that nobody awaits
            await asyncio.sleep(0)


async def test_a_connector_is_made_once_and_only_when_needed(providers):
    providers.replace({"a": settings("a")})
    assert providers.made("a") is None
    first = leased(providers, "a")
    assert leased(providers, "a") is first is providers.made("a")
    providers.replace({"a": settings("a")})
    assert leased(providers, "a") is first


async def test_one_whose_settings_changed_is_closed_when_its_last_request_has_ended(providers):
    providers.replace({"a": settings("a"), "b": settings("b")})
    b = leased(providers, "b")
    with providers.lease("a") as a:
        with providers.lease("a"):
            providers.replace({"a": settings("a", timeout=1.0)})
            assert leased(providers, "a") is not a
        await closed(b)
        assert not a.closed
    await closed(a)
    with pytest.raises(ProviderFailure, match="not configured any more") as caught:
        providers.lease("b")
    assert caught.value.kind is FailureKind.CONNECTION


async def test_closing_closes_also_what_is_in_use_and_what_will_not(providers):
    providers.replace({"a": settings("a"), "bad": settings("bad", base_url="bad")})
    bad = leased(providers, "bad")
    with providers.lease("a") as a:
        await providers.close()
    assert a.closed
    assert bad.closed


async def test_a_connector_that_cannot_be_had_is_a_failure_of_the_attempt(providers):
    providers.replace({"a": settings("a", connector="missing")})
    with pytest.raises(ProviderFailure, match="no_such_package"):
        providers.lease("a")


@pytest.mark.parametrize("wrapped", [False, True])
async def test_no_failure_leaves_a_lease_with_a_secret_in_it(providers, wrapped):
    """Whatever connector it is, and whichever of its keys: the one before the last may still be told of."""
    for key in ("the-first-key-1", "the-second-key-2"):
        providers.replace({"a": settings("a", api_key=key)})
    failure = ProviderFailure(FailureKind.SERVER, "no: the-first-key-1, the-second-key-2", body=b"the-first-key-1")
    with pytest.raises(Exception, match="no: •••, •••"), providers.lease("a"):
        raise Broken(failure) if wrapped else failure
    assert failure.message == str(failure) == "no: •••, •••"
    assert failure.body == "•••".encode()


def test_what_is_shown_of_a_provider_has_no_secret(providers):
    providers.replace({"a": settings("a", base_url="http://h/v1?sig=very-secret-1")})
    assert "very-secret-1" not in str(providers.shown("a", {"details": ["http://h/v1?sig=very-secret-1"]}))
