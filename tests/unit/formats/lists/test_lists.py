"""The forms of a list of models: OpenAI's, Anthropic's and Google's in pages, and Codex's catalogue."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from openai.types import Model

from meshd.formats.lists.anthropic import AnthropicList
from meshd.formats.lists.codex import CodexCatalogue
from meshd.formats.lists.entry import Entry
from meshd.formats.lists.gemini import GeminiList
from meshd.formats.lists.known import list_form_of
from meshd.formats.lists.openai import OpenAIList
from meshd.formats.openai.models import read_listing
from modelmesh import InvalidRequestError
from tests.support.routing.routing_builders import CHAT, COMPLETION, EMBEDDINGS

FEATURES = frozenset({"tool_calling", "vision", "reasoning", "json_mode"})
POOL = Entry("chat", "pool", "chat", "mesh", (CHAT,), 32_000, 8_000, FEATURES)
ALIAS = Entry("claude-chat", "alias", "chat", "mesh", (CHAT,), 32_000, 8_000, FEATURES)
MODEL = Entry("p.new", "model", "p.new", "p", (CHAT,), None, None, frozenset())
VECTORS = Entry("vectors", "pool", "vectors", "mesh", (EMBEDDINGS,), 512, None, frozenset())
WORDS = Entry("words", "pool", "words", "mesh", (COMPLETION,), 2048, 512, frozenset())
ALL = [POOL, ALIAS, VECTORS, WORDS, MODEL]


@pytest.mark.parametrize(
    ("headers", "query", "form"),
    [
        ({}, {}, OpenAIList),
        ({"anthropic-version": "2023-06-01"}, {}, AnthropicList),
        ({"anthropic-version": ""}, {"limit": "1000"}, AnthropicList),
        ({"x-goog-api-client": "google-genai-sdk/3.6.1"}, {"pageSize": "50"}, GeminiList),
        ({}, {"client_version": "0.171.0"}, CodexCatalogue),
        ({"user-agent": "x"}, {"limit": "5"}, OpenAIList),
    ],
)
def test_which_form_is_asked_for(headers: dict[str, str], query: dict[str, str], form: type) -> None:
    assert isinstance(list_form_of(headers, query), form)


def test_googles_pages_and_what_each_model_answers() -> None:
    first = GeminiList().listed(ALL, {"pageSize": "3"})
    rest = GeminiList().listed(ALL, {"pageSize": "3", "pageToken": first["nextPageToken"]})
    assert "nextPageToken" not in rest
    found = {each["name"]: each for each in [*first["models"], *rest["models"]]}
    assert list(found) == [f"models/{each.id}" for each in ALL]
    assert (found["models/chat"]["inputTokenLimit"], found["models/chat"]["outputTokenLimit"]) == (32_000, 8_000)
    with pytest.raises(InvalidRequestError) as wrong:
        GeminiList().listed(ALL, {"pageToken": "x"})
    assert wrong.value.param == "pageToken"
    assert GeminiList().one(VECTORS)["supportedGenerationMethods"] == ["embedContent", "batchEmbedContents"]


# -- OpenAI's -------------------------------------------------------------------------------------------


def test_openais_form_has_the_limits_under_the_names_that_clients_know() -> None:
    listed = OpenAIList().listed(ALL, {})
    assert [Model.model_validate(each, strict=True).id for each in listed["data"]] == [each.id for each in ALL]
    first = listed["data"][0]
    assert {first[name] for name in ("context_window", "context_length", "max_model_len")} == {32_000}
    assert {first[name] for name in ("max_output_tokens", "max_completion_tokens")} == {8_000}
    assert first["owned_by"] == "mesh"
    assert listed["data"][1]["mesh"] == {"kind": "alias", "target": "chat", "capabilities": [CHAT]}
    assert not {"context_window", "max_output_tokens", "top_provider", "supported_parameters"} & set(listed["data"][4])


def test_another_mesh_reads_what_this_one_writes() -> None:
    read = read_listing(json.dumps(OpenAIList().listed(ALL, {})).encode())
    assert [(each.id, each.context_window, each.max_output_tokens) for each in read] == [
        (each.id, each.context_window, each.max_output_tokens) for each in ALL
    ]
    assert set(read[0].features) == FEATURES
    assert [each.capabilities for each in read[:3]] == [("chat-completion",)] * 2 + [("text-embeddings",)]


# -- Anthropic's ----------------------------------------------------------------------------------------


def test_anthropics_form_has_every_field_of_its_models() -> None:
    first, second = (AnthropicList().one(each) for each in (POOL, ALIAS))
    assert set(first) == {
        "type", "id", "display_name", "created_at", "max_input_tokens", "max_tokens", "capabilities", "lifecycle",
        "line", "deprecated_at", "retires_at",
    }  # fmt: skip
    assert (first["type"], first["max_input_tokens"], first["max_tokens"]) == ("model", 32_000, 8_000)
    assert datetime.datetime.fromisoformat(first["created_at"]).timestamp() == 0
    assert second["display_name"] == "claude-chat (chat)"


MANY = [Entry(f"m{at}", "model", f"m{at}", "p", (CHAT,), None, None, frozenset()) for at in range(45)]


@pytest.mark.parametrize(
    ("query", "first", "last", "more"),
    [
        ({}, 0, 19, True),
        ({"limit": "1000"}, 0, 44, False),
        ({"limit": "45"}, 0, 44, False),
        ({"limit": "44"}, 0, 43, True),
        ({"after_id": "m19"}, 20, 39, True),
        ({"after_id": "m39"}, 40, 44, False),
        ({"after_id": "m44"}, None, None, False),
        ({"before_id": "m20"}, 0, 19, False),
        ({"before_id": "m21"}, 1, 20, True),
        ({"before_id": "m3", "limit": "2"}, 1, 2, True),
        ({"before_id": "m0"}, None, None, False),
    ],
)
def test_pages(query: dict[str, str], first: int | None, last: int | None, more: bool) -> None:
    page = AnthropicList().listed(MANY, query)
    ids = [] if first is None or last is None else [f"m{at}" for at in range(first, last + 1)]
    assert [each["id"] for each in page["data"]] == ids
    ends = [ids[0], ids[-1]] if ids else [None, None]
    assert [page["first_id"], page["last_id"], page["has_more"]] == [*ends, more]


@pytest.mark.parametrize("direction", ["after_id", "before_id"])
@pytest.mark.parametrize("limit", [1, 7, 20, 45])
def test_following_the_pages_gives_every_model_once(direction: str, limit: int) -> None:
    query: dict[str, str] = {"limit": str(limit)} | ({"before_id": "m44"} if direction == "before_id" else {})
    seen: list[str] = ["m44"] if direction == "before_id" else []
    while True:
        page = AnthropicList().listed(MANY, query)
        ids = [each["id"] for each in page["data"]]
        seen = [*seen, *ids] if direction == "after_id" else [*ids, *seen]
        if not page["has_more"]:
            break
        query[direction] = page["last_id" if direction == "after_id" else "first_id"]
    assert seen == [each.id for each in MANY]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *(({"limit": limit}, "limit") for limit in ("0", "-1", "1001", "x", "", "1.5", "9" * 5000, "٣")),
        ({"after_id": "gone"}, "after_id"),
        ({"before_id": "x" * 5000}, "before_id"),
        ({"after_id": "m1", "before_id": "m2"}, "before_id"),
    ],
)
def test_a_page_that_cannot_be(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        AnthropicList().listed(MANY, query)
    assert refused.value.param == param
    assert len(refused.value.message) < 300


# -- Codex's --------------------------------------------------------------------------------------------

# What codex-cli 0.171.0 refuses a catalogue without.
_NEEDED = {
    "slug", "display_name", "supported_reasoning_levels", "shell_type", "visibility", "supported_in_api", "priority",
    "support_verbosity", "truncation_policy", "experimental_supported_tools", "base_instructions",
}  # fmt: skip
# What earlier versions need as well.
_FORMERLY = {"description", "supports_reasoning_summaries", "supports_parallel_tool_calls", "upgrade"}


def test_codexs_catalogue_has_what_codex_needs() -> None:
    models: list[dict[str, Any]] = CodexCatalogue().listed(ALL, {})["models"]
    assert all(set(each) >= _NEEDED | _FORMERLY for each in models)
    assert [each["slug"] for each in models] == [each.id for each in ALL]
    assert (models[0]["context_window"], models[0]["input_modalities"]) == (32_000, ["text", "image"])
    assert [level["effort"] for level in models[0]["supported_reasoning_levels"]] == ["low", "medium", "high"]
    assert models[4]["supported_reasoning_levels"] == []
    assert models[4]["input_modalities"] == ["text"]


def test_codexs_catalogue_fits_into_what_codex_reads() -> None:
    long = [Entry("x" * 200, "model", "x" * 200, "p", (CHAT,), 10**6, 10**6, FEATURES)] * 5000
    assert len(json.dumps(CodexCatalogue().listed(long, {}))) < 1024**2
