"""What a provider's row changes in a request's body."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from meshd.catalogue.known import load_provider_rows, provider_row
from meshd.formats.lookup import provider_format
from meshd.formats.openai.body.request import RequestWriter
from meshd.formats.responses.request import RequestWriter as ResponsesWriter
from meshd.operations.chat import CHAT
from meshd.sdk import ProviderSettings
from meshd.sdk.provider import ProviderCall

CALLS = [{"role": "developer", "content": "Be brief."}, {"role": "user", "name": "ann", "content": 'a "developer"'}]


def call(model: str, **fields: Any) -> ProviderCall:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    return ProviderCall(operation=CHAT, model=model, fields=raw, timeout=1.0)


def sent(quirks: Mapping[str, Any], model: str = "m", connector: str = "acme.llm.v1", **fields: Any) -> dict[str, Any]:
    settings = ProviderSettings(name="acme", connector=connector, quirks=quirks)
    made: dict[str, Any] = json.loads(RequestWriter(settings).write(call(model, **fields)))
    return made


def by_row(connector: str, model: str, **fields: Any) -> dict[str, Any]:
    row = provider_row(connector)
    assert row is not None
    return sent(row.quirks, model, connector, **fields)


def test_fields_are_renamed_dropped_added_and_kept_within_bounds() -> None:
    quirks = {
        "rename": {"max_completion_tokens": "max_tokens"},
        "drop": ["store"],
        "add": {"split": True, "top_p": 0.5},
        "clamp": {"temperature": [0.01, 1]},
    }
    made = sent(quirks, max_completion_tokens=5, store=True, temperature=1.9, top_p=0.1)
    assert made == {"model": "m", "max_tokens": 5, "split": True, "temperature": 1.0, "top_p": 0.1}
    assert sent(quirks, temperature=0)["temperature"] == 0.01
    assert sent(quirks, temperature="hot")["temperature"] == "hot", "the provider says what is wrong with it"


def test_roles_of_messages_are_what_the_provider_knows() -> None:
    made = sent({"roles": {"developer": "system"}, "drop_in_messages": ["name"]}, messages=CALLS)["messages"]
    assert made == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": 'a "developer"'}]
    assert sent({}, messages=CALLS)["messages"] == CALLS
    assert sent({"roles": {"developer": "system"}}, messages="developer")["messages"] == "developer"
    odd = call("m", messages=CALLS)
    odd.fields["messages"] = msgspec.Raw(b'[ {"role":"user","content":"developer"}]')
    written = RequestWriter(ProviderSettings(name="a", connector="a.b.v1", quirks={"roles": {"developer": "system"}}))
    assert b'[ {"role":"user"' in written.write(odd), "unchanged to the byte where there is nothing to change"


@pytest.mark.parametrize(
    ("connector", "model", "left"),
    [
        ("openai.llm.v1", "gpt-5-mini", {"n"}),
        ("openai.llm.v1", "o4-mini-2025-04-16", {"n"}),
        ("microsoft.azure-openai.v1", "gpt-6-luna", {"n"}),
        ("openai.llm.v1", "gpt-5-chat-latest", {"temperature", "presence_penalty", "n"}),
        ("openai.llm.v1", "gpt-4o", {"temperature", "presence_penalty", "n"}),
        ("openai.llm.v1", "gpt-5.4-mini", {"temperature", "presence_penalty", "n"}),
        ("openrouter.gateway.v1", "openai/gpt-5.6-sol", {"n"}),
        ("xai.grok.v1", "grok-4.7", {"temperature", "n"}),
        ("xai.grok.v1", "grok-4.20-0309-non-reasoning", {"temperature", "presence_penalty", "n"}),
        ("moonshot.kimi.v1", "kimi-k3.1-pro", {"n"}),
        ("moonshot.kimi.v1", "moonshot-v1-8k", {"temperature", "presence_penalty", "n"}),
        ("together.api.v1", "moonshotai/Kimi-K3", {"temperature", "presence_penalty", "n"}),
        ("cerebras.inference.v1", "gpt-oss-120b", {"temperature", "n"}),
    ],
)
def test_what_a_model_refuses_is_left_out(connector: str, model: str, left: set[str]) -> None:
    made = by_row(connector, model, temperature=0.2, presence_penalty=1, n=2)
    assert set(made) - {"model"} == left


def test_models_that_can_do_without_thinking_take_more_then() -> None:
    given = {"temperature": 0.2, "messages": []}
    assert "temperature" in by_row("openai.llm.v1", "gpt-5.4", **given, reasoning_effort="none")
    assert "temperature" not in by_row("openai.llm.v1", "gpt-5.4", **given, reasoning_effort="high")
    assert "temperature" in by_row("openai.llm.v1", "gpt-5.4", **given, reasoning_effort=None)
    assert "temperature" in by_row("openai.llm.v1", "gpt-6-sol", **given, reasoning_effort="none")
    assert "temperature" not in by_row("openai.llm.v1", "gpt-6-sol", **given)
    assert "reasoning_effort" not in by_row("xai.grok.v1", "grok-4-1-fast-reasoning", reasoning_effort="low")
    assert "reasoning_effort" in by_row("xai.grok.v1", "grok-4.3", reasoning_effort="low")


def test_the_responses_api_is_asked_with_the_same_quirks() -> None:
    writer = ResponsesWriter(ProviderSettings(name="openai", connector="openai.llm.v1"))
    effort = {"effort": "none"}
    assert b"temperature" not in writer.write(call("gpt-6-sol", input="x", temperature=0.1))
    assert b"temperature" in writer.write(call("gpt-6-sol", input="x", temperature=0.1, reasoning=effort))
    assert b"temperature" not in writer.write(call("gpt-6-sol", input="x", temperature=0.1, reasoning="odd"))


def test_what_is_left_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    writer = RequestWriter(ProviderSettings(name="acme", connector="acme.llm.v1"))
    with caplog.at_level(logging.INFO, "meshd.providers"):
        for _ in range(3):
            writer.write(call("gpt-5", temperature=0.2, top_p=1))
    assert [record.message for record in caplog.records] == ["acme: gpt-5 takes no temperature, top_p: left out"]


@pytest.mark.parametrize(
    "quirks", [{"rename": ["a"]}, {"drop": "store"}, {"clamp": {"temperature": 1}}, {"roles": {"developer": 1}}]
)
def test_a_quirk_of_another_type_is_an_error(quirks: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="provider acme: quirks"):
        sent(quirks)


@pytest.mark.parametrize("row", load_provider_rows(), ids=lambda row: row.id)
def test_every_row_can_be_written_with(row: Any) -> None:
    settings = ProviderSettings(name=row.name, connector=row.id, quirks=row.quirks)
    for name in speaks if isinstance(speaks := row.quirks.get("speaks", ["openai"]), list) else [speaks]:
        assert provider_format(name).provider(settings).write(call("m", messages=[], input="x"))
