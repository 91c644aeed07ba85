"""Model lists in the shapes servers give them; guesses from names; the catalogue's own rows."""

from __future__ import annotations

import re

import msgspec
import pytest

from meshd.catalogue import known
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.formats.errors.not_answers import Broken
from meshd.formats.openai.models import guess_capabilities, read_listing
from meshd.sdk import ProviderSettings
from tests.support.formats.http_requests import requests_of

CHAT, EMBED = ("chat-completion",), ("text-embeddings",)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"id": "gpt-5-mini", "object": "model"}, {"capabilities": CHAT}),
        ({"name": "llama3:8b", "model": "llama3:8b"}, {"id": "llama3:8b", "capabilities": CHAT}),
        ({"id": "m", "max_model_len": 4096}, {"context_window": 4096}),  # vLLM
        ({"id": "m", "meta": {"n_ctx": 8192, "n_ctx_train": 131072}}, {"context_window": 8192}),  # llama-server
        ({"id": "BAAI/bge-large", "type": "embedding", "context_length": 512}, {"capabilities": EMBED}),  # Together
        (
            {"id": "m", "capabilities": {"completion_chat": True, "function_calling": True, "vision": True}},  # Mistral
            {"capabilities": CHAT, "features": ("tool_calling", "vision")},
        ),
        ({"id": "mistral-embed", "capabilities": {"completion_chat": False}}, {"capabilities": EMBED}),
        (
            {  # OpenRouter
                "id": "a/b",
                "context_length": 1000,
                "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
                "supported_parameters": ["tools", "structured_outputs", "reasoning"],
                "top_provider": {"max_completion_tokens": 100},
            },
            {
                "context_window": 1000,
                "max_output_tokens": 100,
                "features": ("tool_calling", "vision", "structured_output", "reasoning"),
            },
        ),
        ({"id": "x", "active": False, "context_window": 8192}, {"deprecated": True, "context_window": 8192}),  # Groq
        ({"id": "x", "shutdown_date": "2026-12-11"}, {"retires": "2026-12-11", "deprecated": False}),  # OpenAI
        ({"id": "x", "shutdown_date": None, "expiration_date": "2027-01-01"}, {"retires": "2027-01-01"}),  # OpenRouter
        ({"id": "x", "deprecation": "2026-12-01T12:00:00Z"}, {"retires": "2026-12-01", "deprecated": False}),  # Mistral
        ({"id": "x", "deprecation": {"fine_tune": 1, "inference": 1798675200}}, {"retires": "2026-12-31"}),  # Azure
        ({"id": "x", "deprecation": "soon", "shutdown_date": ["x"], "expiration_date": 1e300}, {"retires": ""}),
        ({"id": "m", "type": "vlm", "max_context_length": 7, "capabilities": ["tool_use"]}, {"features": ("tool_calling",)}),  # noqa: E501
    ],
)  # fmt: skip
def test_entries(entry, expected):
    (listing,) = read_listing(msgspec.json.encode({"data": [entry]}))
    assert {name: getattr(listing, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'[{"id":"a"},{"id":"b"},{"id":"a"}]', ["a", "b"]),
        (b'{"models":[{"name":"a"}]}', ["a"]),
        (b'{"object":"list","data":null}', []),
        (b'{"data":["a",7,{"id":""},{"id":"b","capabilities":7,"architecture":[]}]}', ["a", "b"]),
    ],
)
def test_lists(body, ids):
    assert [listing.id for listing in read_listing(body)] == ids


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data":7}'])
def test_no_lists(body):
    with pytest.raises(Broken):
        read_listing(body)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("text-embedding-3-small", EMBED),
        ("nomic-embed-text:latest", EMBED),
        ("whisper-large-v3", ("speech-to-text",)),
        ("gpt-4o-mini-tts", ("text-to-speech",)),
        ("gpt-image-1", ("text-to-image",)),
        ("omni-moderation-latest", ("content-moderation",)),
        ("gpt-3.5-turbo-instruct", ("text-completion",)),
        ("qwen2.5-coder:7b", ("chat-completion", "code-generation")),
        ("gpt-4o", CHAT),
        ("nomic", EMBED),
    ],
)
def test_guesses(model, expected):
    assert guess_capabilities(model) == expected


def test_rows_of_the_catalogue_make_connectors(monkeypatch):
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "acc")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    rows = known.load_provider_rows()
    for name in {name for row in rows for name in re.findall(r"\$\{env:(\w+)\}", row.base_url or "")}:
        if name not in ("CLOUDFLARE_ACCOUNT_ID", "AZURE_OPENAI_ENDPOINT"):
            monkeypatch.setenv(name, "x")
    assert len({row.id for row in rows}) == len(rows)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.base_url is None or row.date
        if row.base_url:
            OpenAIProvider(ProviderSettings(row.name, row.id, base_url=row.base_url, quirks=row.quirks))
    azure = known.provider_row("microsoft.azure-openai.v1")
    assert azure is not None
    requests = requests_of(ProviderSettings("a", azure.id, base_url=azure.base_url, quirks=azure.quirks))
    assert str(requests.models) == "https://mine.openai.azure.com/openai/v1/models"
    monkeypatch.delenv("CLOUDFLARE_ACCOUNT_ID")
    with pytest.raises(ValueError, match="set CLOUDFLARE_ACCOUNT_ID"):
        OpenAIProvider(ProviderSettings("c", "x", base_url="https://h/${env:CLOUDFLARE_ACCOUNT_ID}/v1"))


@pytest.mark.parametrize(
    "body",
    [b'\xef\xbb\xbf{"data":[{"id":"a"}]}', b'{"data":[{"id":"a","x":NaN}]}', b'{"data":[{"id":"a","x":"\\ud83c"}]}'],
)
def test_a_list_in_json_beyond_the_standard_is_read(body):
    assert [each.id for each in read_listing(body)] == ["a"]
