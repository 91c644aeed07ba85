"""What each service says when it fails, as its provider documents it, is of the kind that it means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from meshd.catalogue.known import load_models, provider_row
from meshd.connectors.providers.services.provider import ServiceProvider
from meshd.formats.multipart.forms import read_form
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from meshd.services.known import service
from tests.integration.services.conftest import CONNECTORS, QUERIES
from tests.support.providers.services.server import KEY, ServicesServer

KEYED = [name for name in CONNECTORS if name != "searxng"]


def settings(services: ServicesServer, name: str, key: str = KEY) -> ProviderSettings:
    row = provider_row(CONNECTORS[name])
    assert row is not None
    return ProviderSettings(
        name, row.id, base_url=services.url(name) + QUERIES.get(name, ""), api_key=key, quirks=row.quirks
    )


@asynccontextmanager
async def provider(made: ProviderSettings) -> AsyncIterator[ServiceProvider]:
    found = ServiceProvider(made)
    yield found
    await found.aclose()


def call(name: str, words: str) -> ProviderCall:
    """Its first operation, about these words."""
    row = provider_row(CONNECTORS[name])
    assert row is not None
    operation = OPERATIONS[next(iter(service(name).operations))]
    model = load_models(row.id)[0].id
    if operation.form:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + words.encode()
        ) + b"\r\n--x--\r\n"
        form = read_form(body, "multipart/form-data; boundary=x")
        fields = {field: msgspec.Raw(value) for field, value in form.fields.items()}
        return ProviderCall(operation, model, fields, timeout=10.0, form=form)
    assert operation.example is not None
    asked: dict[str, Any] = operation.example(words)
    return ProviderCall(operation, model, {key: msgspec.Raw(msgspec.json.encode(each)) for key, each in asked.items()})


async def failure(made: ProviderSettings, asked: ProviderCall) -> ProviderFailure:
    async with provider(made) as found:
        with pytest.raises(ProviderFailure) as failed:
            await found.execute(asked)
    return failed.value


@pytest.mark.parametrize("name", KEYED)
async def test_a_key_that_is_refused(services: ServicesServer, name: str) -> None:
    failed = await failure(settings(services, name, "wrong-key-0123456789"), call(name, "x"))
    assert failed.kind is FailureKind.AUTHENTICATION
    assert "wrong-key" not in failed.message + failed.body.decode()


@pytest.mark.parametrize(("status", "kinds"), [("429", ("rate_limit", "quota")), ("500", ("server",))])
@pytest.mark.parametrize("name", CONNECTORS)
async def test_limits_and_faults(services: ServicesServer, name: str, status: str, kinds: tuple[str, ...]) -> None:
    failed = await failure(settings(services, name), call(name, f"{name}:{status}"))
    assert failed.kind in kinds
    assert failed.status == int(status)


@pytest.mark.parametrize("name", CONNECTORS)
async def test_a_page_in_place_of_an_answer(services: ServicesServer, name: str) -> None:
    failed = await failure(settings(services, name), call(name, f"{name}:page"))
    assert failed.kind is FailureKind.BAD_ANSWER


@pytest.mark.parametrize("name", [name for name in CONNECTORS if name != "google-search"])
async def test_an_object_with_nothing_in_it(services: ServicesServer, name: str) -> None:
    failed = await failure(settings(services, name), call(name, f"{name}:empty"))
    assert failed.kind is FailureKind.BAD_ANSWER


@pytest.mark.parametrize(
    ("name", "remaining", "unit"),
    [("deepl", 1250000 - 180118, "characters"), ("tavily", 850, "credits"), ("firecrawl", 900, "credits")],
)
async def test_what_is_left_of_a_quota(services: ServicesServer, name: str, remaining: int, unit: str) -> None:
    async with provider(settings(services, name)) as found:
        quota = await found.quota()
        assert await found.probe(10.0) >= 0.0
    assert quota is not None
    assert (quota.remaining, quota.unit) == (remaining, unit)


def test_a_free_key_of_deepl_has_its_own_address() -> None:
    row = provider_row("deepl.translation.v1")
    assert row is not None
    made = ProviderSettings("deepl", row.id, base_url=row.base_url, api_key="a-key:fx", quirks=row.quirks)
    origin: Callable[[ProviderSettings], str] = lambda each: ServiceProvider(each).origin  # noqa: E731
    assert origin(made) == "https://api-free.deepl.com"
    assert origin(replace(made, api_key="a-key")) == "https://api.deepl.com"
    assert origin(replace(made, base_url="https://proxy.example")) == "https://proxy.example"
