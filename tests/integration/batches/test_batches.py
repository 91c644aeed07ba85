"""OpenAI's SDK runs batches at a real daemon."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.apps.sdks.batches import CHAT, ENDED, finished, jsonl, line, results, submit, upload
from tests.support.client.responses import PROXY, over_http
from tests.support.waiting import until


def test_each_line_is_answered_once(client: Any) -> None:
    lines = [line(f"n{number}", text=f"word{number}") for number in range(20)]
    lines += [line("refused", model="refusing"), line("unknown", model="nope")]
    made = submit(client, lines, metadata={"of": "a test"})
    assert (made.status, made.object, made.metadata) == ("validating", "batch", {"of": "a test"})
    done = finished(client, made)
    assert (done.status, done.request_counts.to_dict()) == ("completed", {"total": 22, "completed": 20, "failed": 2})
    answered, failed = results(client, done.output_file_id), results(client, done.error_file_id)
    assert set(answered) == {f"n{number}" for number in range(20)}
    row = answered["n7"]
    assert (row["response"]["status_code"], row["error"]) == (200, None)
    assert row["response"]["body"]["choices"][0]["message"]["content"] == "[scripted] word7"
    assert failed["refused"]["response"]["status_code"] == 400
    assert failed["refused"]["response"]["body"]["error"]["code"] == "bad_thing"
    assert failed["unknown"]["response"]["status_code"] == 404
    assert [done.in_progress_at, done.finalizing_at, done.completed_at].count(None) == 0
    output = client.files.retrieve(done.output_file_id)
    assert (output.purpose, output.filename) == ("batch_output", f"{made.id}_output.jsonl")
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(made.id)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/embeddings", {"model": "echo.vectors", "input": "hi"}),
        ("/v1/completions", {"model": "echo.chat", "prompt": "hi"}),
        ("/v1/responses", {"model": "chat", "input": "hi"}),
        ("/v1/messages", {"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
    ],
)
def test_every_operation_with_a_json_body(client: Any, endpoint: str, body: dict[str, Any]) -> None:
    done = finished(
        client, submit(client, [{"custom_id": "a", "url": endpoint, "method": "POST", "body": body}], endpoint)
    )
    assert results(client, done.output_file_id)["a"]["response"]["status_code"] == 200


def test_faults_by_line(client: Any) -> None:
    lines = [
        line("good"),
        line("good"),
        line("", text="no id"),
        line("elsewhere", url="/v1/embeddings"),
        line("stream", body={"stream": True}),
        {**line("get"), "method": "GET"},
        {"custom_id": "empty", "method": "POST", "url": "/v1/chat/completions", "body": {}},
    ]
    made = client.batches.create(
        input_file_id=upload(client, jsonl(lines) + b"\n\nnot json\n").id,
        endpoint=CHAT,
        completion_window="24h",
    )
    done = finished(client, made)
    assert done.status == "failed"
    assert [(fault.line, fault.code, fault.param) for fault in done.errors.data] == [
        (2, "duplicate_custom_id", None),
        (3, "invalid_request", "custom_id"),
        (4, "invalid_request", "url"),
        (5, "invalid_request", "body.stream"),
        (6, "invalid_request", "method"),
        (7, "invalid_request", "body.model"),
        (10, "invalid_json_line", None),
    ]
    assert done.output_file_id is None


def test_an_empty_file_fails(client: Any) -> None:
    assert finished(client, submit(client, [])).errors.data[0].code == "empty_file"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"endpoint": "/v1/audio/transcriptions"}, "endpoint"),
        ({"window": "soon"}, "completion_window"),
        ({"window": "99d"}, "completion_window"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
    ],
)
def test_what_is_not_a_batch(client: Any, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        submit(client, [line("a")], **options)
    assert refused.value.param == param


def test_a_file_of_another_purpose(client: Any) -> None:
    uploaded = upload(client, b"{}", "user_data")
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id=uploaded.id, endpoint=CHAT, completion_window="24h")
    client.files.delete(uploaded.id)


def test_a_cancelled_batch_keeps_what_it_has(one: Any) -> None:
    made = submit(one, [line("quick"), *(line(f"n{n}", model="endless") for n in range(2000))])
    with pytest.raises(openai.ConflictError):
        one.files.delete(made.input_file_id)
    assert one.batches.cancel(made.id).status == "cancelling"
    assert one.batches.retrieve(made.id).status in ("cancelling", "cancelled")
    done = finished(one, made)
    assert done.status == "cancelled"
    assert done.request_counts.completed + done.request_counts.failed < 2001


def test_lines_that_did_not_come_in_time_say_so(meshd: Any) -> None:
    pools = {**CONFIG["pools"], "slow": {"models": ["slow.chat"]}}
    slow = {"connector": "modelmesh.scripted.v1", "script": [{"echo": True, "delay": "300ms"}]}
    models = {**CONFIG["models"], "slow.chat": {"provider": "slow", "capabilities": ["summarization"]}}
    providers = {**CONFIG["providers"], "slow": slow}
    config = {**CONFIG, "providers": providers, "models": models, "pools": pools, "batches": {"max_inflight": 1}}
    with over_http(meshd({**config, "proxy": PROXY})) as client:
        made = submit(client, [line(f"n{n}", model="slow") for n in range(20)], window="1s")
        done = finished(client, made)
        counts = done.request_counts
        answered, failed = results(client, done.output_file_id), results(client, done.error_file_id)
    assert (done.status, counts.completed + counts.failed) == ("expired", 20)
    assert counts.completed >= 1 <= counts.failed
    assert not answered.keys() & failed.keys()
    assert {row["error"]["code"] for row in failed.values()} == {"batch_expired"}


def test_a_used_up_budget_only_delays(meshd: Any) -> None:
    priced = {**CONFIG["models"]["echo.chat"], "pricing": {"input_per_1m": 1000}}
    config = {**CONFIG, "models": {**CONFIG["models"], "echo.chat": priced}, "proxy": PROXY}
    daemon = meshd({**config, "apps": {"default": {"budget": {"daily_limit": 0.000001}}}})
    with over_http(daemon) as client:
        made = submit(client, [line(f"n{n}") for n in range(9)])
        until(lambda: daemon.status()["requests"]["failed"], what="the first is refused")
        daemon.write(config)
        done = finished(client, made)
    assert (done.status, done.request_counts.completed) == ("completed", 9)


def test_what_depends_on_kept_responses_is_refused(client: Any) -> None:
    body = {"model": "chat", "input": "hi", "previous_response_id": "resp_1"}
    lines = [{"custom_id": "a", "url": "/v1/responses", "method": "POST", "body": body}]
    done = finished(client, submit(client, lines, "/v1/responses"))
    assert results(client, done.error_file_id)["a"]["response"]["body"]["error"]["param"] == "previous_response_id"


def test_another_user_cannot_see_it(one: Any, two: Any, client: Any) -> None:
    made = submit(one, [line("a")])
    done = finished(one, made)
    for other in (two, client):
        refused(other.batches.retrieve, made.id)
        refused(other.batches.cancel, made.id)
        refused(other.files.retrieve, made.input_file_id)
        refused(other.files.content, done.output_file_id)
        refused(other.files.delete, made.input_file_id)
        refused(other.batches.create, input_file_id=made.input_file_id, endpoint=CHAT, completion_window="24h")
        assert made.id not in {each.id for each in other.batches.list()}
        assert not {made.input_file_id, done.output_file_id} & {each.id for each in other.files.list()}


def refused(ask: Any, *given: Any, **named: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        ask(*given, **named)


def test_pages(two: Any) -> None:
    made = [submit(two, [line("a")]).id for _ in range(3)]
    for each in made:
        finished(two, two.batches.retrieve(each))
    first = two.batches.list(limit=2)
    assert ([each.id for each in first.data], first.has_more) == (made[:0:-1], True)
    assert [each.id for each in two.batches.list(limit=1)][:3] == made[::-1]
    assert all(each.status in ENDED for each in first.data)
