"""Batches that are passed on to a provider's own API for batches."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types as genai_types

from tests.integration.batches.test_kill import ledger
from tests.support.apps.sdks.batches import finished, jsonl, line, results, submit, upload
from tests.support.client.responses import over_socket
from tests.support.providers.vendors.batch_apis import TOKENS_IN, TOKENS_OUT, BatchApis
from tests.support.providers.vendors.gemini_batches import AllBatchApis
from tests.support.waiting import WAIT, until

APIS = ("openai", "anthropic", "gemini")
CONNECTORS = {"openai": "openai.llm.v1", "anthropic": "anthropic.claude.v1", "gemini": "google.gemini.v1"}
WORDS = ["one", "two", "fail 400", "fail 500"]


@pytest.fixture
def provider() -> Iterator[BatchApis]:
    made = AllBatchApis()
    yield made
    made.close()


def config(provider: BatchApis, api: str, **more: Any) -> dict[str, Any]:
    off = {"enabled": False}
    url = f"http://127.0.0.1:{provider.port}/{'v1beta' if api == 'gemini' else 'v1'}"
    there = {"connector": CONNECTORS[api], "base_url": url, "api_key": "sk-1"}
    return {
        "providers": {"there": {**there, **more.pop("there", {})}},
        "models": {
            "there.m": {
                "provider": "there",
                "model": "m",
                "capabilities": ["chat-completion"],
                "delivery": {"batch": True},
                "batch": {"cost_discount": 0.5},
                "pricing": {"input_per_1m": 2, "output_per_1m": 10},
                "constraints": {"context_window": 10_000, "max_output_tokens": 500},
            }
        },
        "pools": {"chat": {"models": ["there.m"], "retry": {"max_attempts": 1}}},
        "discovery": {"health": off, "sync": off, "local": off},
        "observability": {"statistics": {"flush_interval": "1s"}},
        **more,
    }


def lines(*words: str) -> list[dict[str, Any]]:
    return [line(word, text=word) for word in words]


@pytest.mark.parametrize("api", APIS)
def test_each_line_comes_back_in_the_apps_format_at_the_batch_price(meshd: Any, provider: BatchApis, api: str) -> None:
    daemon = meshd(config(provider, api))
    with over_socket(daemon) as client:
        done = finished(client, submit(client, lines(*WORDS)))
        answered, failed = results(client, done.output_file_id), results(client, done.error_file_id)
    assert [len(each) for each in provider.submitted] == [4]
    assert done.status == "completed"
    body = answered["one"]["response"]["body"]
    assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "heard one")
    assert failed["fail 400"]["response"]["body"]["error"]["message"] == "failed with 400"
    assert answered["fail 500"]["response"]["body"]["choices"][0]["message"]["content"] == "heard fail 500"
    assert len(provider.alone) == 1  # what may pass is asked again, by itself
    rows = daemon.ask("GET", "/mesh/v1/stats?by=model")["data"]
    by_batch, alone = (TOKENS_IN * 1 + TOKENS_OUT * 5) / 1e6, (TOKENS_IN * 2 + TOKENS_OUT * 10) / 1e6
    assert rows[0]["cost_total"] == pytest.approx(2 * by_batch + alone)
    assert daemon.stop() == 0
    assert ledger(daemon) == 3


@pytest.mark.parametrize("api", APIS)
def test_it_is_submitted_once_whatever_happens(meshd: Any, provider: BatchApis, api: str) -> None:
    provider.hold.clear()
    daemon = meshd(config(provider, api))
    with over_socket(daemon) as client:
        made = submit(client, lines("one", "two"))
    until(lambda: provider.submitted, what="it is submitted")
    daemon.kill()
    daemon.start()
    daemon.kill()
    provider.hold.set()
    daemon.start()
    with over_socket(daemon) as client:
        done = finished(client, made)
        assert (done.status, set(results(client, done.output_file_id))) == ("completed", {"one", "two"})
    assert (len(provider.submitted), provider.alone) == (1, [])
    assert daemon.stop() == 0
    assert ledger(daemon) == 2


@pytest.mark.parametrize("api", APIS)
def test_a_submission_that_is_cut_off_is_found_again(meshd: Any, provider: BatchApis, api: str) -> None:
    provider.cut = True
    with over_socket(meshd(config(provider, api))) as client:
        done = finished(client, submit(client, lines("one", "two")))
        assert (done.status, done.request_counts.completed) == ("completed", 2)
    assert (len(provider.submitted), provider.alone) == (1, [])


@pytest.mark.parametrize("api", APIS)
def test_what_is_refused_there_is_run_here(meshd: Any, provider: BatchApis, api: str) -> None:
    provider.refuse = 400
    with over_socket(meshd(config(provider, api))) as client:
        assert finished(client, submit(client, lines("one", "two"))).request_counts.completed == 2
    assert len(provider.alone) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"there": {"batch": {"supported": False}}},
        {"there": {"batch": {"max_items": 1}}},
        {"there": {"files": {"upload": False}}},
        {"there": {"files": {"max_size": 10}}},
        {"apps": {"default": {"budget": {"daily_limit": 0.0095}}}},  # two at once need more, one after the other not
    ],
)
def test_what_is_not_passed_on(meshd: Any, provider: BatchApis, more: dict[str, Any]) -> None:
    with over_socket(meshd(config(provider, "openai", **more))) as client:
        assert finished(client, submit(client, lines("one", "two"))).request_counts.completed == 2
    assert (provider.submitted, len(provider.alone)) == ([], 2)


@pytest.mark.parametrize("api", APIS)
def test_cancelled_there_too(meshd: Any, provider: BatchApis, api: str) -> None:
    provider.hold.clear()
    with over_socket(meshd(config(provider, api))) as client:
        made = submit(client, lines("one"))
        until(lambda: provider.submitted, what="it is submitted")
        client.batches.cancel(made.id)
        done = finished(client, made)
    assert (done.status, done.request_counts.completed, provider.alone) == ("cancelled", 0, [])


@pytest.mark.parametrize("api", APIS)
def test_its_progress_there_is_shown(meshd: Any, provider: BatchApis, api: str) -> None:
    provider.hold.clear()
    provider.done = 2
    with over_socket(meshd(config(provider, api))) as client:
        made = submit(client, lines("one", "two", "three"))
        until(lambda: client.batches.retrieve(made.id).request_counts.completed == 2, what="two are answered there")
        provider.hold.set()
        assert finished(client, made).request_counts.completed == 3


# -- the server itself, by the official SDKs ----------------------------------------------------------


def test_openais_sdk_runs_a_batch_there(provider: BatchApis) -> None:
    url = f"http://127.0.0.1:{provider.port}/v1"
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=WAIT) as client:
        uploaded = upload(client, jsonl([{**each, "body": {**each["body"], "model": "m"}} for each in lines("one")]))
        batch = client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        done = client.batches.retrieve(batch.id)
        assert [done.status, *(each.id for each in client.batches.list())] == ["completed", batch.id]
        row = json.loads(client.files.content(str(done.output_file_id)).text)
    assert row["response"]["body"]["choices"][0]["message"]["content"] == "heard one"


def test_anthropics_sdk_runs_a_batch_there(provider: BatchApis) -> None:
    url = f"http://127.0.0.1:{provider.port}"
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "one"}]}
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, timeout=WAIT) as client:
        batch = client.messages.batches.create(requests=[{"custom_id": "a", "params": asked}])
        assert client.messages.batches.retrieve(batch.id).processing_status == "ended"
        assert [each.id for each in client.messages.batches.list()] == [batch.id]
        (found,) = client.messages.batches.results(batch.id)
    result: Any = found.result
    assert (found.custom_id, result.message.content[0].text) == ("a", "heard one")


def test_googles_sdk_runs_batches_there(provider: BatchApis) -> None:
    asked: Any = {"contents": [{"role": "user", "parts": [{"text": "one"}]}]}
    url = f"http://127.0.0.1:{provider.port}"
    options = genai_types.HttpOptions(base_url=url, api_version="v1beta", timeout=int(WAIT * 1000))
    with genai.Client(api_key="k", http_options=options) as client:
        inline = client.batches.create(model="m", src=[asked], config={"display_name": "in"})
        assert str(inline.state) == "JobState.JOB_STATE_PENDING"
        done = client.batches.get(name=str(inline.name))
        answers: Any = done.dest.inlined_responses if done.dest else None
        assert [str(done.state), answers[0].response.text] == ["JobState.JOB_STATE_SUCCEEDED", "heard one"]
        lines = io.BytesIO(jsonl([{"key": "a", "request": asked}]))
        file = client.files.upload(file=lines, config={"mime_type": "application/jsonl", "display_name": "f"})
        batch = client.batches.create(model="m", src=str(file.name), config={"display_name": "by-file"})
        found: Any = client.batches.get(name=str(batch.name)).dest
        row = json.loads(client.files.download(file=found.file_name))
        assert (row["key"], row["response"]["candidates"][0]["content"]["parts"][0]["text"]) == ("a", "heard one")
        assert [each.display_name for each in client.batches.list()] == ["by-file", "in"]
        client.batches.delete(name=str(inline.name))
        provider.hold.clear()
        held = client.batches.create(model="m", src=[asked], config={"display_name": "held"})
        client.batches.cancel(name=str(held.name))
        assert str(client.batches.get(name=str(held.name)).state) == "JobState.JOB_STATE_CANCELLED"
