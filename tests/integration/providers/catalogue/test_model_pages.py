"""Lists of models in pages, each as its provider's documentation says, read to their end.

https://platform.claude.com/docs/en/api/models-list, https://ai.google.dev/api/models,
https://docs.cohere.com/reference/list-models, https://platform.openai.com/docs/api-reference/fine-tuning/list
(`after`), https://learn.microsoft.com/azure/developer (`nextLink`), read on 28 November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web

from meshd.connectors.providers.http_provider import HttpProvider
from meshd.connectors.providers.model_pages import MOST_PAGES
from meshd.sdk.provider import FailureKind, ProviderFailure, ProviderSettings
from tests.support.providers.servers.in_thread import ProviderInThread

Json = dict[str, Any]
NAMES = [f"model-{n:02}" for n in range(7)]


def openai(at: int, size: int) -> Json:
    return {"object": "list", "data": [{"id": name} for name in NAMES[at : at + size]], "has_more": at + size < 7}


def anthropic(at: int, size: int) -> Json:
    found = NAMES[at : at + size]
    data = [{"type": "model", "id": name, "display_name": name} for name in found]
    return {"data": data, "has_more": at + size < 7, "first_id": found[0], "last_id": found[-1]}


def gemini(at: int, size: int) -> Json:
    more = {"nextPageToken": NAMES[at + size - 1]} if at + size < 7 else {}
    return {"models": [{"name": f"models/{name}"} for name in NAMES[at : at + size]], **more}


def cohere(at: int, size: int) -> Json:
    more = {"next_page_token": NAMES[at + size - 1]} if at + size < 7 else {}
    return {"models": [{"name": name, "endpoints": ["chat"]} for name in NAMES[at : at + size]], **more}


def azure(at: int, size: int) -> Json:
    link = f"https://elsewhere.example/models?token={NAMES[min(at + size, 7) - 1]}"
    return {"data": [{"id": name} for name in NAMES[at : at + size]], **({"nextLink": link} if at + size < 7 else {})}


PAGES: dict[str, tuple[str, str, Callable[..., Json]]] = {
    "openai": ("openai", "after", openai),
    "anthropic": ("anthropic", "after_id", anthropic),
    "gemini": ("gemini", "pageToken", gemini),
    "cohere": ("cohere", "page_token", cohere),
    "azure": ("openai", "token", azure),
}


class Lister(ProviderInThread):
    """Pages of three. parameter: names the model before a page, unless the server ignores it. answer: the body of a
    page. asked: the queries."""

    parameter = ""
    answer: Callable[..., Json]
    ignores = False
    asked: list[dict[str, str]]

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._list)
        return app

    async def _list(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        before = "" if self.ignores else request.query.get(self.parameter, "")
        at = NAMES.index(before) + 1 if before else 0
        return web.json_response(self.answer(at, 3))


@pytest.fixture(scope="module")
def lister() -> Iterator[Lister]:
    made = Lister()
    yield made
    made.close()


def provider(lister: Lister, kind: str) -> HttpProvider:
    speaks, lister.parameter, lister.answer = PAGES[kind]
    lister.asked, lister.ignores = [], False
    quirks = {"speaks": [speaks]}
    url = f"http://127.0.0.1:{lister.port}/v1"
    return HttpProvider(ProviderSettings("here", "x.v1", base_url=url, api_key="k", quirks=quirks))


@pytest.mark.parametrize("kind", PAGES)
async def test_all_pages_are_read(lister: Lister, kind: str) -> None:
    here = provider(lister, kind)
    assert [each.id for each in await here.list_models()] == NAMES
    assert [query.get(lister.parameter) for query in lister.asked] == [None, "model-02", "model-05"]
    sizes = {query.get(name) for query in lister.asked for name in ("limit", "pageSize", "page_size") if name in query}
    assert sizes <= {"1000"}, "the rest of the query stays"
    await here.aclose()


@pytest.mark.parametrize("kind", PAGES)
async def test_a_server_that_ignores_the_parameter_is_asked_twice(lister: Lister, kind: str) -> None:
    here = provider(lister, kind)
    lister.ignores = True
    assert [each.id for each in await here.list_models()] == NAMES[:3]
    assert len(lister.asked) == 2
    await here.aclose()


async def test_pages_are_bounded(lister: Lister) -> None:
    here = provider(lister, "openai")
    counter = iter(range(10_000))
    lister.answer = lambda *_: {"data": [{"id": f"m-{next(counter)}"}], "has_more": True}
    lister.ignores = True
    assert len(await here.list_models()) == MOST_PAGES == len(lister.asked)
    await here.aclose()


async def test_bytes_are_bounded_over_all_pages(lister: Lister) -> None:
    here = provider(lister, "openai")
    counter = iter(range(10_000))
    long = "x" * (5 * 1024 * 1024)
    lister.answer = lambda *_: {"data": [{"id": f"m-{next(counter)}", "about": long}], "has_more": True}
    lister.ignores = True
    with pytest.raises(ProviderFailure) as raised:
        await here.list_models()
    assert raised.value.kind is FailureKind.BAD_ANSWER
    assert len(lister.asked) == 4
    await here.aclose()


@pytest.mark.parametrize(
    "odd", [{"has_more": True}, {"has_more": "yes", "last_id": "m"}, {"has_more": True, "last_id": 5},
            {"nextLink": 5}, {"nextLink": "//["}, {"nextLink": "x" * 9999}]
)  # fmt: skip
async def test_what_names_no_page_is_the_end(lister: Lister, odd: Json) -> None:
    here = provider(lister, "openai")
    lister.answer = lambda *_: {"data": ["m"], **odd}
    assert [each.id for each in await here.list_models()] == ["m"]
    assert len(lister.asked) == 1
    await here.aclose()
