"""Translations, moderation and embeddings through the daemon, and the providers' own SDKs against the same server."""

from __future__ import annotations

import json
from typing import Any

import deepl
import huggingface_hub
import pytest

import modelmesh
from tests.support.providers.services.server import KEY, ServicesServer


@pytest.mark.parametrize("model", ["deepl.translate", "google-cloud.nmt"])
def test_each_gives_the_same_shape(client: Any, model: str) -> None:
    answer = client.translate.create(model=model, text="a lamp", target="de")
    assert answer.to_dict() == {
        "model": model.partition(".")[2],
        "object": "translation",
        "translations": [{"text": "DE: A LAMP", "source": "en"}],
        "usage": {"characters": 6},
    }
    several = client.translate.create(model=model, text=["one", "two"], target="fr", source="en")
    assert [row.text for row in several.translations] == ["FR: ONE", "FR: TWO"]


def test_deepls_own_sdk_gets_the_same_from_the_same_server(services: ServicesServer) -> None:
    url = services.url("deepl") + "/"
    translator = deepl.Translator(KEY, server_url=url, send_platform_info=False)
    told: Any = translator.translate_text(["a lamp"], target_lang="DE", formality="prefer_more")
    assert [(each.text, each.detected_source_lang, each.billed_characters) for each in told] == [
        ("DE: A LAMP", "EN", 6)
    ]
    assert translator.get_usage().character.limit == 1250000
    with pytest.raises(deepl.QuotaExceededException):
        translator.translate_text("deepl:456", target_lang="DE")
    with pytest.raises(deepl.AuthorizationException):
        deepl.Translator("wrong", server_url=url).get_usage()


def test_what_is_asked_is_in_its_own_words(client: Any, services: ServicesServer) -> None:
    client.translate.create(
        model="deepl.translate", text="x", target="pt", source="en-GB", formality="less", format="html", context="ships"
    )
    asked = json.loads(services.sent["deepl"][-1].body)
    assert asked.pop("text") == ["x"]
    assert asked == {
        "target_lang": "PT-BR",
        "source_lang": "EN",
        "formality": "prefer_less",
        "tag_handling": "html",
        "context": "ships",
        "show_billed_characters": True,
    }
    with pytest.raises(modelmesh.InvalidRequestError, match="`formality`"):
        client.translate.create(model="google-cloud.nmt", text="x", target="de", formality="more")


def test_many_texts_take_several_requests(client: Any, services: ServicesServer) -> None:
    before = len(services.sent["deepl"])
    texts = [f"text {number}" for number in range(120)]
    answer = client.translate.create(model="deepl.translate", text=texts, target="de")
    assert [row.text for row in answer.translations] == [f"DE: {text.upper()}" for text in texts]
    assert len(services.sent["deepl"]) == before + 3
    assert answer.usage.characters == sum(map(len, texts))


def test_characters_are_priced_and_bound_by_a_budget(client: Any) -> None:
    """20 USD for a million characters; the pool `poor` may spend a cent a day."""
    assert client.translate.create(model="google-cloud.nmt", text="x" * 1000, target="de").mesh.cost == pytest.approx(
        0.02
    )
    assert client.translate.create(model="poor", text="x" * 300, target="de").mesh.cost == pytest.approx(0.006)
    with pytest.raises(modelmesh.MeshError, match="budget"):
        client.translate.create(model="poor", text="x" * 300, target="de")


@pytest.mark.parametrize("status", [456, 529])
def test_a_used_up_quota_and_too_many_requests_ask_another(client: Any, status: int) -> None:
    answer = client.translate.create(model=f"translated-{status}", text=f"deepl:{status}", target="de")
    assert answer.mesh.model.startswith("google-")


def test_toxicity_in_openais_form(client: Any, services: ServicesServer) -> None:
    answer = client.moderations.create(model="toxicity-detection", input=["good day", "you idiot"])
    good, bad = answer.results
    assert (good.flagged, bad.flagged) == (False, True)
    assert bad.categories.toxicity is True
    assert bad.category_scores.insult == 0.92
    assert json.loads(services.sent["perspective"][-1].body)["doNotStore"] is True
    with pytest.raises(modelmesh.InvalidRequestError, match="`input`"):
        client.moderations.create(model="perspective.analyze", input=[{"type": "image_url"}])


EMBEDDING = "huggingface.BAAI/bge-large-en-v1.5"


def test_huggingfaces_vectors_come_as_any(client: Any, services: ServicesServer) -> None:
    one = client.embeddings.create(model=EMBEDDING, input="a lamp", truncate=True)
    assert one.data[0].embedding == [6.0, 2.0]
    assert (one.object, one.usage.prompt_tokens, one.mesh.model) == ("list", 4, EMBEDDING)
    sent = services.sent["huggingface"][-1]
    assert sent.path == "/hf-inference/models/BAAI/bge-large-en-v1.5/pipeline/feature-extraction"
    assert json.loads(sent.body) == {"inputs": ["a lamp"], "truncate": True}
    packed = client.embeddings.create(model=EMBEDDING, input=["a lamp"], encoding_format="base64")
    assert packed.data[0].embedding == "AADAQAAAAEA="


def test_huggingface_takes_32_texts_at_once(client: Any, services: ServicesServer) -> None:
    before = len(services.sent["huggingface"])
    answer = client.embeddings.create(model=EMBEDDING, input=["x" * n for n in range(1, 71)])
    assert [(row.index, row.embedding[0]) for row in answer.data] == [(n, n + 1.0) for n in range(70)]
    assert len(services.sent["huggingface"]) - before == 3
    assert answer.usage.prompt_tokens == 70 * 3


@pytest.mark.parametrize(
    ("asked", "why"), [({"input": [[1, 2]]}, "more than texts"), ({"input": "x", "dimensions": 2}, "`dimensions`")]
)
def test_what_huggingface_cannot_embed(client: Any, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(modelmesh.InvalidRequestError, match=why):
        client.embeddings.create(model=EMBEDDING, **asked)


def test_vectors_of_tokens_are_not_embeddings(client: Any) -> None:
    with pytest.raises(modelmesh.APIError, match="vectors of tokens"):
        client.embeddings.create(model="huggingface.google-bert/bert-base-uncased", input="a lamp")


def test_huggingfaces_own_sdk_gets_the_same_from_the_same_server(services: ServicesServer) -> None:
    url = f"{services.url('huggingface')}/hf-inference/models/BAAI/bge-large-en-v1.5/pipeline/feature-extraction"
    made = huggingface_hub.InferenceClient(model=url, token=KEY)
    assert made.feature_extraction(["a lamp", "x"], normalize=True).tolist() == [[6.0, 2.0], [1.0, 1.0]]  # type: ignore[arg-type]
    assert made.feature_extraction("a lamp").tolist() == [6.0, 2.0]
    with pytest.raises(huggingface_hub.errors.HfHubHTTPError, match="429"):
        made.feature_extraction("huggingface:429")
    with pytest.raises(huggingface_hub.errors.HfHubHTTPError, match="401"):
        huggingface_hub.InferenceClient(model=url, token="wrong").feature_extraction("x")
