"""Bedrock behind a real daemon: OpenAI's SDK asks it, and the server checks every signature."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.catalogue.known import provider_row
from meshd.connectors.providers.authorizations import aws
from meshd.connectors.providers.http_provider import HttpProvider
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from tests.integration.formats.requests.test_generated_conversations import answered
from tests.support.conversations import asked, drawn, told
from tests.support.formats.converse_frames import event, exception
from tests.support.formats.converse_types import check
from tests.support.providers.vendors.bedrock import BEARER, KEY, SECRET, Bedrock, Frames, Refused, serving
from tests.support.providers.vendors.three_apis import Said
from tests.support.waiting import WAIT

CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3"
OTHER_KEY = "AKIDEXAMPLE000000002"
PRICES = {"input_per_1m": 3, "cached_input_per_1m": 0.3, "output_per_1m": 15}
HI: Any = [{"role": "user", "content": "hi"}]
PNG = "iVBORw0KGgo="
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def module_bedrock() -> Iterator[Bedrock]:
    with serving() as bedrock:
        yield bedrock


@pytest.fixture
def bedrock(module_bedrock: Bedrock, daemon: Any) -> Bedrock:
    fresh = Bedrock()
    fresh.url = module_bedrock.url
    fresh.keys[OTHER_KEY] = (SECRET, "")
    module_bedrock.__dict__.update(fresh.__dict__)
    return module_bedrock


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_bedrock: Bedrock, module_short: Path) -> Any:
    """Providers with the environment's credentials, those of a profile, and a key."""
    files = module_short / "aws"
    files.mkdir()
    (files / "credentials").write_text(f"[work]\naws_access_key_id={OTHER_KEY}\naws_secret_access_key={SECRET}\n")
    environment = {
        "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-central-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(files / "credentials"), "AWS_CONFIG_FILE": str(files / "config"),
    }  # fmt: skip
    row = {"connector": "aws.bedrock.v1", "base_url": module_bedrock.url}
    chat: Any = {"capabilities": ["chat-completion"]}
    models = {
        "bedrock.claude": {**chat, "model": CLAUDE, "pricing": PRICES},
        "bedrock.profile": {**chat, "model": ARN},
        "bedrock.titan": {"capabilities": ["text-embeddings"], "model": "amazon.titan-embed-text-v2:0"},
        "work.claude": {**chat, "model": CLAUDE},
        "keyed.claude": {**chat, "model": CLAUDE},
    }
    config = {
        "providers": {
            "bedrock": row,
            "work": {**row, "auth": {"method": "aws", "profile": "work"}},
            "keyed": {**row, "api_key": BEARER},
        },
        "models": models,
        "pools": {
            "chat": {"models": ["bedrock.claude"], "retry": {"max_attempts": 1}},
            "cut": {"models": ["work.claude", "keyed.claude"], "strategy": "modelmesh.priority-selection.v1"},
            "two": {"models": ["bedrock.claude", "keyed.claude"], "strategy": "modelmesh.priority-selection.v1"},
        },
        "proxy": {"enabled": True, "port": "auto"},
        "discovery": {"sync": {"enabled": False}, "health": {"enabled": False}},
    }
    return module_meshd(config, env=environment)


@pytest.fixture
def gpt(daemon: Any) -> Iterator[openai.OpenAI]:
    url = daemon.status()["http"]["addresses"][0]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as made:
        yield made


def test_a_chat(bedrock: Bedrock, gpt: openai.OpenAI) -> None:
    bedrock.answer = Said(finish="length")
    picture: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    turns: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
    ]
    answer = gpt.chat.completions.create(model="bedrock.claude", messages=turns, max_completion_tokens=50)
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "length"
    assert answer.id
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 5)
    [asked] = bedrock.asked
    check(asked.body)
    assert (asked.model, asked.action, asked.signed_by) == (CLAUDE, "converse", KEY)
    assert asked.path == "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert asked.body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [{"text": "What is it?"}, {"image": {"format": "png", "source": {"bytes": PNG}}}],
            }
        ],
        "inferenceConfig": {"maxTokens": 50},
    }


def test_whose_credentials(bedrock: Bedrock, gpt: openai.OpenAI) -> None:
    for model in ("bedrock.profile", "work.claude", "keyed.claude"):
        assert gpt.chat.completions.create(model=model, messages=HI).choices[0].message.content == "Hello there"
    assert [(asked.model, asked.signed_by) for asked in bedrock.asked] == [
        (ARN, KEY), (CLAUDE, OTHER_KEY), (CLAUDE, "bearer"),
    ]  # fmt: skip


def test_a_stream_with_calls_and_reasoning(bedrock: Bedrock, gpt: openai.OpenAI) -> None:
    bedrock.answer = Said(thought="Let me see", sealed="c2ln", calls=(("f", {"x": 1}), ("f", {"y": [2]})))
    chunks = list(
        gpt.chat.completions.create(
            model="chat", messages=HI, stream=True, tools=[TOOL], stream_options={"include_usage": True}
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Hello there"
    arguments: dict[int, str] = {}
    for call in (call for delta in deltas for call in delta.tool_calls or ()):
        assert call.function is not None
        arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert [json.loads(arguments[index]) for index in (0, 1)] == [{"x": 1}, {"y": [2]}]
    assert len([delta for delta in deltas if delta.tool_calls]) > 4, "arguments come in pieces"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage is not None
    assert bedrock.asked[0].action == "converse-stream"


@pytest.mark.parametrize(
    ("refused", "error", "words"),
    [
        (Refused(404, "ResourceNotFoundException", "This model is gone"), openai.NotFoundError, "is gone"),
        (Refused(400, "ValidationException", "Malformed request"), openai.BadRequestError, "Malformed"),
    ],
)
def test_errors(bedrock: Bedrock, gpt: openai.OpenAI, refused: Refused, error: Any, words: str) -> None:
    bedrock.answer = refused
    with pytest.raises(error, match=words):
        gpt.chat.completions.create(model="keyed.claude", messages=HI)


def test_another_member_answers_for_a_broken_stream(bedrock: Bedrock, gpt: openai.OpenAI) -> None:
    begun = [event("messageStart", {"role": "assistant"})]
    bedrock.answer = lambda asked: (
        Frames([*begun, exception("throttlingException", "Slow down")]) if asked.signed_by == KEY else Said()
    )
    chunks = list(gpt.chat.completions.create(model="two", messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello there"
    *first, last = [asked.signed_by for asked in bedrock.asked]
    assert (set(first), last) == ({KEY}, "bearer")


def test_another_member_continues_a_stream_that_breaks_off(bedrock: Bedrock, gpt: openai.OpenAI) -> None:
    bedrock.answer = lambda asked: Said("Well, there", cut=3) if asked.signed_by == OTHER_KEY else Said("ok.")
    chunks = list(gpt.chat.completions.create(model="cut", messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Well, thok."
    last = bedrock.asked[-1]
    check(last.body)
    assert (last.signed_by, last.body["messages"][-1]["role"]) == ("bearer", "assistant")
    assert last.body["messages"][-1]["content"] == [{"text": "Well, th"}]


def test_what_cannot_be_said_is_an_error(bedrock: Bedrock, gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="several answers to one request"):
        gpt.chat.completions.create(model="bedrock.profile", messages=HI, n=2)
    assert not bedrock.asked


def test_what_it_costs(bedrock: Bedrock, daemon: Any) -> None:
    bedrock.answer = Said(tokens_in=2000, tokens_out=50, cached=1200, written=600, lasting=200)
    answer = daemon.client().chat.completions.create(model="bedrock.claude", messages=HI)
    fresh, read, short, hour, output = 200 * 3, 1200 * 0.3, 400 * 3 * 1.25, 200 * 3 * 2, 50 * 15
    assert answer.mesh["cost"] == pytest.approx((fresh + read + short + hour + output) / 1e6)


def test_embeddings(bedrock: Bedrock, gpt: openai.OpenAI) -> None:
    bedrock.answer = {"embedding": [0.5, -1.0], "inputTextTokenCount": 3}
    answer = gpt.embeddings.create(model="bedrock.titan", input="Hello", dimensions=256)
    assert answer.data[0].embedding == [0.5, -1.0]
    assert answer.usage.prompt_tokens == 3
    [asked] = bedrock.asked
    assert (asked.model, asked.action) == ("amazon.titan-embed-text-v2:0", "invoke")
    assert asked.body == {"inputText": "Hello", "dimensions": 256}


async def test_refused_credentials_are_renewed_once(
    bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS says so with a 403. The profile's process gives another key each time."""
    script = tmp_path / "process.py"
    script.write_text(
        f"import json, pathlib\nasked = pathlib.Path({str(tmp_path / 'asked')!r})\n"
        "asked.touch()\nasked.write_text(asked.read_text() + '.')\n"
        f"key = 'AKIDWITHDRAWN0000003' if len(asked.read_text()) == 1 else {OTHER_KEY!r}\n"
        f"print(json.dumps({{'Version': 1, 'AccessKeyId': key, 'SecretAccessKey': {SECRET!r}}}))\n"
    )
    config = tmp_path / "config"
    config.write_text(f"[profile p]\nregion = eu-central-1\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setattr(aws, "PAUSE", 0.0)
    row = provider_row("aws.bedrock.v1")
    assert row is not None
    settings = ProviderSettings(
        "here", row.id, base_url=bedrock.url, auth_method="aws", auth={"profile": "p"}, quirks=row.quirks
    )
    provider = HttpProvider(settings)
    fields = msgspec.json.decode(
        b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}', type=dict[str, msgspec.Raw]
    )
    answer = await provider.execute(ProviderCall(CHAT, CLAUDE, fields, format="bedrock"))
    assert b"Hello there" in answer.body
    assert [asked.signed_by for asked in bedrock.asked] == [OTHER_KEY]
    bedrock.keys.clear()
    with pytest.raises(ProviderFailure, match="security token") as caught:
        await provider.execute(ProviderCall(CHAT, CLAUDE, fields, format="bedrock"))
    assert caught.value.kind is FailureKind.AUTHENTICATION
    await provider.aclose()


@pytest.mark.parametrize("api", ["openai", "anthropic", "responses"])
@settings(max_examples=3)
@given(chat=drawn.chats(), said=drawn.answers(), stream=st.booleans())
def test_a_conversation_means_the_same(
    daemon: Any, module_bedrock: Bedrock, api: str, chat: drawn.Chat, said: Said, stream: bool
) -> None:
    chat = drawn.with_pictures_in_hand(drawn.without_pictures_of_tools(chat))
    module_bedrock.answer = said = replace(said, reasoned=0)  # which Converse does not tell
    module_bedrock.keys = {KEY: (SECRET, "")}
    module_bedrock.asked.clear()
    with httpx.Client(base_url=daemon.status()["http"]["addresses"][0], timeout=WAIT) as client:
        answer = answered(client, api, "bedrock.claude", asked.body(api, chat), stream=stream)
    [sent] = [each.body for each in module_bedrock.asked]
    found = [fact for fact in asked.meant("bedrock", sent) if fact[0] != "thought"]
    told_of = api == "anthropic"  # only there a tool can fail, and Claude is told
    assert found == [(*fact[:3], fact[3] and told_of) if fact[0] == "result" else fact for fact in _unblank(chat)]
    assert told.told(api, answer) == told.meant(said)


def _unblank(chat: drawn.Chat) -> Iterator[Any]:
    """Converse refuses blank texts."""
    for fact in drawn.facts(chat):
        if fact[0] == "result":
            yield fact[0], fact[1], [each for each in fact[2] if not isinstance(each, str) or each.strip()], fact[3]
        elif not isinstance(fact[-1], str) or fact[-1].strip():
            yield fact
