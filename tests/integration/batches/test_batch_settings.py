"""What the configuration says of batches: several keys of a provider, and the settings `models.NAME.batch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.batches.test_provider_batches import APIS, config, lines
from tests.support.apps.sdks.batches import finished, jsonl, line, results, submit
from tests.support.client.responses import over_socket
from tests.support.providers.servers.in_thread import ProviderInThread
from tests.support.providers.vendors.gemini_batches import AllBatchApis
from tests.support.waiting import until


@pytest.fixture
def provider() -> Iterator[AllBatchApis]:
    made = AllBatchApis()
    yield made
    made.close()


def with_keys(provider: AllBatchApis, api: str, *keys: str) -> dict[str, Any]:
    made = config(provider, api, there={"api_keys": list(keys)})
    del made["providers"]["there"]["api_key"]
    made["models"]["there.m"]["batch"]["polling"] = "0.5s"
    return made


def with_settings(provider: AllBatchApis, api: str = "openai", **settings: Any) -> dict[str, Any]:
    made = config(provider, api)
    made["models"]["there.m"]["batch"].update(settings)
    return made


@pytest.mark.parametrize("api", APIS)
def test_a_batch_belongs_to_the_key_it_was_submitted_with(meshd: Any, provider: AllBatchApis, api: str) -> None:
    provider.hold.clear()
    daemon = meshd(with_keys(provider, api, "sk-1", "sk-2"))
    with over_socket(daemon) as client:
        made = [submit(client, lines("one")) for _ in range(2)]
        until(lambda: len(provider.submitted) == 2, what="both are submitted")
        provider.hold.set()
        assert [finished(client, each).request_counts.completed for each in made] == [1, 1]
    assert (sorted(provider.keys.values()), provider.alone) == (["sk-1", "sk-2"], [])


def test_a_key_that_was_removed(meshd: Any, provider: AllBatchApis) -> None:
    provider.hold.clear()
    daemon = meshd(with_keys(provider, "openai", "sk-1", "sk-2"))
    with over_socket(daemon) as client:
        first = submit(client, lines("one"))
        until(lambda: provider.submitted, what="it is submitted")
        kept, removed = sorted(("sk-1", "sk-2"), key=lambda key: key in provider.keys.values())
        daemon.write(with_keys(provider, "openai", kept))

        def fault(batch: Any) -> Any:
            errors = client.batches.retrieve(batch.id).errors
            return errors and errors.data[0]

        told = until(lambda: fault(first), what="it says so")
        assert (told.code, "not configured any more" in told.message) == ("provider_key_missing", True)
        provider.hold.set()
        daemon.write(with_keys(provider, "openai", kept, removed))
        done = finished(client, first)
        assert (done.status, done.errors, done.request_counts.completed) == ("completed", None, 1)
        provider.hold.clear()
        second = submit(client, lines("two"))
        until(lambda: len(provider.submitted) == 2, what="another is submitted")
        daemon.write(with_keys(provider, "openai", "sk-3"))
        until(lambda: fault(second), what="it says so")
        client.batches.cancel(second.id)
        done = finished(client, second)
        row = results(client, done.error_file_id)["two"]["error"]
    assert (done.status, row["code"]) == ("cancelled", "request_interrupted")
    assert "not configured any more" in row["message"]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("limit", ["items", "payload"])
def test_a_long_batch_is_several_at_its_provider(meshd: Any, provider: AllBatchApis, api: str, limit: str) -> None:
    settings = {"max_items": 2} if limit == "items" else {"max_payload": 350}
    words = [f"word{number}" for number in range(5)]
    with over_socket(meshd(with_settings(provider, api, **settings))) as client:
        done = finished(client, submit(client, lines(*words)))
        answered = results(client, done.output_file_id)
    assert (done.status, set(answered), provider.alone) == ("completed", set(words), [])
    assert answered["word3"]["response"]["body"]["choices"][0]["message"]["content"] == "heard word3"
    sizes = [len(each) for each in provider.submitted]
    assert sum(sizes) == 5
    assert sorted(sizes) == [1, 2, 2] if limit == "items" else len(sizes) > 1


def test_its_parts_survive_a_kill(meshd: Any, provider: AllBatchApis) -> None:
    provider.hold.clear()
    daemon = meshd(with_settings(provider, max_items=1))
    with over_socket(daemon) as client:
        made = submit(client, lines("one", "two", "three"))
    until(lambda: provider.submitted, what="a part is submitted")
    daemon.kill()
    provider.hold.set()
    daemon.start()
    with over_socket(daemon) as client:
        done = finished(client, made)
        assert (done.status, len(results(client, done.output_file_id))) == ("completed", 3)
    assert len(provider.submitted) + len(provider.alone) == 3  # alone: what was about to be submitted


def test_a_request_that_no_batch_may_hold_is_asked_alone(meshd: Any, provider: AllBatchApis) -> None:
    with over_socket(meshd(with_settings(provider, max_payload=600))) as client:
        done = finished(client, submit(client, [*lines("one"), line("two", text="long " * 200), *lines("three")]))
        assert (done.status, done.request_counts.completed) == ("completed", 3)
    assert ([len(each) for each in provider.submitted], len(provider.alone)) == ([1, 1], 1)


def test_the_window_of_a_model_ends_a_batch(meshd: Any, provider: AllBatchApis) -> None:
    provider.hold.clear()
    with over_socket(meshd(with_settings(provider, completion_window="1s"))) as client:
        made = submit(client, lines("one"))
        done = finished(client, made)
        assert done.expires_at == made.created_at + 1
        assert (done.status, results(client, done.error_file_id)["one"]["error"]["code"]) == (
            "expired",
            "batch_expired",
        )
    assert provider.alone == []


class Told(ProviderInThread):
    """Notes the ends of batches. fail: how many it refuses for now."""

    def __init__(self, fail: int) -> None:
        self.fail = fail
        self.events: list[Any] = []
        super().__init__()

    def application(self) -> Any:
        from aiohttp import web

        async def take(request: web.Request) -> web.Response:
            self.events.append(await request.json())
            self.fail -= 1
            return web.Response(status=503 if self.fail >= 0 else 204)

        app = web.Application()
        app.router.add_post("/ended", take)
        return app


def test_the_end_of_a_batch_is_posted_until_it_is_taken(meshd: Any, provider: AllBatchApis) -> None:
    told = Told(fail=1)
    try:
        daemon = meshd(with_settings(provider, callback=f"http://127.0.0.1:{told.port}/ended?token=s"))
        with over_socket(daemon) as client:
            done = finished(client, submit(client, lines("one")))
        until(lambda: len(told.events) == 2, what="it is told twice")
    finally:
        told.close()
    first, again = told.events
    assert first == again
    assert (first["type"], first["id"]) == ("batch.completed", f"evt_{done.id}")
    assert first["data"] == {
        "id": done.id,
        "status": "completed",
        "request_counts": {"total": 1, "completed": 1, "failed": 0},
    }


def test_results_so_far_are_read_while_it_runs(meshd: Any, provider: AllBatchApis) -> None:
    made = with_settings(provider, partial_results=True)
    made["models"]["there.m"] |= {"provider": "slow", "delivery": {}}
    limited = {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}], "rate_limit": {"rpm": 1}}
    made["providers"]["slow"] = limited
    with over_socket(meshd(made)) as client:
        batch = submit(client, lines("one", "two"))
        until(lambda: client.batches.retrieve(batch.id).output_file_id, what="a result")
        now = client.batches.retrieve(batch.id)
        assert (now.status, set(results(client, now.output_file_id))) == ("in_progress", {"one"})
        assert client.files.retrieve(now.output_file_id).bytes > 0
        assert now.error_file_id is None
        assert client.files.content(now.input_file_id).read() == jsonl(
            [line("one", text="one"), line("two", text="two")]
        )
        client.batches.cancel(batch.id)
