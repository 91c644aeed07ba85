"""The router, pools, providers and state of an embedded mesh, as programs see them."""

from __future__ import annotations

import json
import threading
import time

import pytest

from meshd.mesh import ModelMesh
from modelmesh import NotFoundError
from tests.support.daemons.embedded import HELLO, hello

pytestmark = pytest.mark.usefixtures("own_state")


def test_a_decision_asks_no_provider(mesh):
    router = mesh.get_router()
    decision = router.route("chat", HELLO)
    assert (decision.model, decision.pool) == ("first.chat", "chat")
    assert decision.order == ("first.chat", "second.chat")
    explained = router.explain({"model": "chat", **HELLO})
    assert explained.chosen == "first.chat"
    assert [stage["name"] for stage in explained.stages]
    assert mesh.get_registry().get_model("first.chat").get_state()["requests"] == 0


def test_complete_stream_and_batch(mesh):
    router = mesh.get_router()
    assert router.complete("chat", HELLO).choices[0].message.content == "first"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in router.stream("chat", HELLO)) == "first"
    answers = router.batch("chat", [HELLO, {"messages": "no"}, HELLO], parallel=2)
    assert answers[0].choices[0].message.content == "first"
    assert answers[2].choices[0].message.content == "first"
    missing = router.batch("nothing", [HELLO])
    assert isinstance(missing[0], NotFoundError)


def test_leaving_a_stream_of_the_router_early(mesh):
    stream = mesh.get_router().stream("chat", HELLO)
    next(stream)
    stream.close()
    assert hello(mesh)


def test_pools(mesh):
    router = mesh.get_router()
    assert "chat" in router.list_pools()
    pool = router.get_pool("chat")
    assert pool.capability == "generation.text-generation.chat-completion"
    assert pool.strategy == "modelmesh.stick-until-failure.v1"
    assert pool.get_active_models() == ["first.chat", "second.chat"]
    assert pool.select() == "first.chat"
    pool.deactivate("first.chat", "tired")
    assert pool.get_standby_models() == {"first.chat": "deactivated by hand: tired"}
    assert pool.select() == "second.chat"
    pool.recover("first.chat")
    assert pool.get_standby_models() == {}
    hello(mesh)
    assert router.rotate("chat") == "second.chat"
    assert hello(mesh).mesh.model == "second.chat"
    pool.remove_model("second.chat")
    assert pool.get_active_models() == ["first.chat"]
    with pytest.raises(NotFoundError):
        router.get_pool("nothing")


def test_registry_models_and_providers(mesh):
    registry = mesh.get_registry()
    assert {model.id for model in registry.list_models()} == {"first.chat", "second.chat"}
    assert [model.id for model in registry.find_by_provider("second")] == ["second.chat"]
    assert {model.id for model in registry.find_by_capability("generation")} == {"first.chat", "second.chat"}
    assert registry.find_by_capability("embeddings") == []
    model = registry.get_model("first.chat")
    assert model.get_delivery_modes() == ["synchronous", "streaming"]
    assert set(model.get_constraints()) == {"context_window", "max_output_tokens", "max_images"}
    model.reset_state()
    assert registry.refresh()
    with pytest.raises(NotFoundError):
        registry.get_model("nothing")


def test_a_provider_is_asked_by_itself(mesh):
    provider = mesh.get_registry().get_provider("second")
    assert provider.is_available()
    assert provider.get_health()["auth_valid"]
    assert [model.id for model in provider.get_models()] == ["second.chat"]
    reply = provider.execute("second.chat", HELLO)
    assert (reply.choices[0].message.content, reply.mesh.provider) == ("second", "second")
    with pytest.raises(NotFoundError):
        provider.execute("first.chat", HELLO)
    with pytest.raises(NotFoundError):
        mesh.get_registry().get_provider("nothing")


def test_stats(mesh, eventually):
    hello(mesh)
    stats = mesh.stats()
    row = eventually(lambda: stats.model("first.chat"))
    assert (row["requests_total"], row["requests_failed"]) == (1, 0)
    assert stats.pool("chat")["requests_total"] == 1
    assert stats.provider("first")["requests_total"] == 1
    assert stats.model("second.chat") is None


def test_state_is_exported_and_imported(file, nothing_left, short):
    with ModelMesh.from_yaml(file, state_dir=short / "one") as mesh:
        hello(mesh)
        mesh.get_router().get_pool("chat").deactivate("first.chat", "kept")
        exported = json.loads(json.dumps(mesh.export_state()))
    with ModelMesh.from_yaml(file, state_dir=short / "two") as mesh:
        assert mesh.get_router().get_pool("chat").get_standby_models() == {}
        mesh.import_state(exported)
        assert "kept" in mesh.get_router().get_pool("chat").get_standby_models()["first.chat"]
        assert mesh.get_registry().get_model("first.chat").get_state()["requests"] == 1
        began = time.monotonic()
        with pytest.raises(NotFoundError):
            mesh.get_client().chat.completions.create(model="nothing", messages=HELLO["messages"])
        assert time.monotonic() - began < 2, "lists of models are not waited for again"


def test_proxies_are_safe_from_many_threads(mesh):
    router, failures = mesh.get_router(), []

    def work():
        try:
            for _ in range(10):
                assert router.complete("chat", HELLO)
                assert router.route("chat", HELLO).model
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert failures == []
