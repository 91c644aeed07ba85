"""Connectors across generations."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from meshd.cdk.provider import FailureKind, Provider, ProviderFailure, ProviderSettings
from meshd.gateway.providers import ProviderSet


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


class Registry:
    def get_connector(self, id, type):
        from modelmesh._errors import ConfigurationError

        if id == "missing":
            raise ConfigurationError("the extra `local` is missing")
        return Closing


def settings(name, **changes):
    return ProviderSettings(name, **{"connector": "closing", **changes})


@pytest.fixture
async def providers():
    made = ProviderSet(Registry())  # type: ignore[arg-type]
    yield made
    await made.close()


async def test_a_connector_is_made_once_and_only_when_needed(providers):
    providers.replace({"a": settings("a")}, 10)
    assert providers.made("a") is None
    first = providers.get("a")
    assert providers.get("a") is first is providers.made("a")
    providers.replace({"a": settings("a")}, 10)
    assert providers.get("a") is first


async def test_one_whose_settings_changed_is_closed_when_its_requests_have_ended(providers):
    providers.replace({"a": settings("a"), "b": settings("b")}, 10)
    a, b = providers.get("a"), providers.get("b")
    providers.replace({"a": settings("a", timeout=1.0)}, 0.02)
    assert providers.get("a") is not a
    assert not a.closed
    async with asyncio.timeout(5):
        while not (a.closed and b.closed):  # noqa: ASYNC110 - the set's own timer is what is tested
            await asyncio.sleep(0.005)
    with pytest.raises(ProviderFailure, match="not configured any more") as caught:
        providers.get("b")
    assert caught.value.kind is FailureKind.CONNECTION


async def test_closing_closes_also_what_waits_and_what_will_not(providers):
    providers.replace({"a": settings("a"), "bad": settings("bad", base_url="bad")}, 10)
    a, bad = providers.get("a"), providers.get("bad")
    providers.replace({"bad": settings("bad", base_url="bad")}, 60)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    await providers.close()
    assert a.closed
    assert bad.closed


async def test_a_connector_that_cannot_be_had_is_a_failure_of_the_attempt(providers):
    providers.replace({"a": settings("a", connector="missing")}, 10)
    with pytest.raises(ProviderFailure, match="extra"):
        providers.get("a")
