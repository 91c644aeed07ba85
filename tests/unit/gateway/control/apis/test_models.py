"""`/v1/models`: what the caller may use, in the form that it asks for."""

from __future__ import annotations

import json

import pytest

from meshd.routing.table.aliases import Aliases
from meshd.routing.table.specs import AppSpec, ModelSpec, PoolSpec
from modelmesh import AccessDeniedError, NotFoundError
from tests.support.gateway.asked import answer_of
from tests.support.gateway.builder import CHAT, MAIL, ROOT, Gateway, model

IN_CHAT = AppSpec("mail", pools=frozenset({"chat"}))
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def gateway(*apps: AppSpec) -> Gateway:
    core = Gateway(
        models=(
            model("a.one", context_window=200_000),
            model("b.two", context_window=32_000),
            model("b.three", context_window=8_000),
        ),
        apps=apps,
    )
    core.runtime.table.aliases = Aliases({"gpt-4o": "chat", "claude-*": "other", "mini": "b.three"})
    return core


async def listed(core: Gateway, caller=ROOT, path: str = "/v1/models", **headers: str):
    return await answer_of(core.router.dispatcher, "GET", path, caller=caller, headers=headers)


async def test_pools_then_aliases_then_models_each_with_its_limits():
    found = (await listed(gateway()))["data"]
    assert [(each["id"], each["owned_by"], each["mesh"]["kind"], each["context_window"]) for each in found] == [
        ("chat", "mesh", "pool", 32_000),
        ("other", "mesh", "pool", 8_000),
        ("gpt-4o", "mesh", "alias", 32_000),
        ("claude-other", "mesh", "alias", 8_000),
        ("mini", "b", "alias", 8_000),
        ("a.one", "a", "model", 200_000),
        ("b.two", "b", "model", 32_000),
        ("b.three", "b", "model", 8_000),
    ]


async def test_an_app_sees_what_it_may_use_with_the_limits_of_what_it_may_get():
    found = (await listed(gateway(IN_CHAT), MAIL))["data"]
    assert [each["id"] for each in found] == ["chat", "gpt-4o", "a.one", "b.two"]
    one = gateway(AppSpec("mail", models=frozenset({"a.one"})))
    assert [(each["id"], each["context_window"]) for each in (await listed(one, MAIL))["data"]] == [
        ("chat", 200_000),
        ("gpt-4o", 200_000),
        ("a.one", 200_000),
    ]


async def test_anthropics_form_by_its_header():
    page = await listed(gateway(), path="/v1/models?limit=2&after_id=other", **ANTHROPIC)
    assert [each["id"] for each in page["data"]] == ["gpt-4o", "claude-other"]
    assert (page["has_more"], page["data"][1]["max_input_tokens"]) == (True, 8_000)


async def test_what_an_api_cannot_ask_is_not_in_its_list():
    vectors = ModelSpec("e.mbed", "e", "mbed", ("representation.embeddings.text-embeddings",))
    core = Gateway(models=(model("a.one"), vectors), pools=(PoolSpec("chat", CHAT, ("a.one",)),))
    assert [each["id"] for each in (await listed(core))["data"]] == ["chat", "a.one", "e.mbed"]
    assert [each["id"] for each in (await listed(core, **ANTHROPIC))["data"]] == ["chat", "a.one"]
    codex = await listed(core, path="/v1/models?client_version=1")
    assert [each["slug"] for each in codex["models"]] == ["chat", "a.one"]


async def test_codexs_catalogue_by_its_query():
    found = await listed(gateway(), path="/v1/models?client_version=0.171.0")
    assert [each["slug"] for each in found["models"]][:3] == ["chat", "other", "gpt-4o"]


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("chat", "pool", "chat"),
        ("gpt-4o", "alias", "chat"),
        ("claude-opus-4-6", "alias", "other"),
        ("a.one", "model", "a.one"),
        ("one", "model", "a.one"),
        ("chat-completion", "capability", "chat"),
    ],
)
async def test_one_by_its_name(name: str, kind: str, target: str):
    found = await listed(gateway(), path=f"/v1/models/{name}")
    assert (found["id"], found["mesh"]["kind"], found["mesh"]["target"]) == (name, kind, target)
    assert (await listed(gateway(), path=f"/v1/models/{name}", **ANTHROPIC))["id"] == name


async def test_what_an_app_may_not_use_is_refused_by_any_name():
    core = gateway(IN_CHAT)
    for name in ("claude-opus", "mini", "other", "b.three"):
        with pytest.raises(AccessDeniedError):
            await listed(core, MAIL, f"/v1/models/{name}")
    with pytest.raises(NotFoundError) as unknown:
        await listed(core, MAIL, "/v1/models/mimi")
    assert "mini" not in json.dumps(unknown.value.nearest)


async def test_explain_names_the_alias():
    core = gateway()
    assert (await core.explain(model="claude-x"))["resolution"] == {
        "kind": "pool",
        "name": "other",
        "alias": "claude-*",
    }
    assert (await core.explain(model="chat"))["resolution"]["alias"] is None
