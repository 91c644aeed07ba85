"""Images by Gemini's and Imagen's models, and embeddings by Vertex AI, asked by OpenAI's SDK over the real daemon."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from tests.support.providers.vendors.gemini import KEY, VERTEX, GeminiServer
from tests.support.waiting import WAIT

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n drawn").decode()
DRAWN, IMAGINED = "gemini.gemini-2.5-flash-image", "gemini.imagen-4.0-generate-001"
PROVIDERS = ["gemini", "vertex"]


@pytest.fixture(scope="module")
def google() -> Iterator[GeminiServer]:
    server = GeminiServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def url(module_meshd: Any, google: GeminiServer) -> str:
    images = ["gemini-2.5-flash-image", "imagen-4.0-generate-001"]
    vectors = ["gemini-embedding-001", "text-embedding-005"]
    models = {f"{name}.{each}": {"capabilities": ["text-to-image"]} for name in PROVIDERS for each in images}
    models |= {f"vertex.{each}": {"capabilities": ["text-embeddings"]} for each in vectors}
    models |= {"gemini.gemini-embedding-001": {}}
    daemon = module_meshd(
        {
            "providers": {"gemini": google.provider(max_retries=0), "vertex": google.vertex(max_retries=0)},
            "models": models,
            "proxy": {"enabled": True, "port": "auto"},
            "discovery": {"sync": {"enabled": False}, "health": {"enabled": False}},
        }
    )
    found: str = daemon.status()["http"]["addresses"][0]
    return found


@pytest.fixture(autouse=True)
def fresh(google: GeminiServer) -> None:
    google.image, google.refuses = PNG, None
    google.asked.clear()


@pytest.fixture
def gpt(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as made:
        yield made


def test_googles_sdk_is_content_with_the_server(google: GeminiServer) -> None:
    base = types.HttpOptions(base_url=google.url.removesuffix("/v1beta"), timeout=int(WAIT * 1000))
    direct = genai.Client(api_key=KEY, http_options=base)
    config = types.GenerateContentConfig(response_modalities=["IMAGE"])
    answer = direct.models.generate_content(model="gemini-2.5-flash-image", contents="A fox", config=config)
    assert answer.parts is not None
    assert [part.inline_data.data for part in answer.parts if part.inline_data] == [base64.b64decode(PNG)]


@pytest.mark.filterwarnings("ignore:The generate_images method")
def test_googles_sdk_for_vertex_is_content_with_the_server(google: GeminiServer) -> None:
    options = types.HttpOptions(
        base_url=google.url.removesuffix("/v1beta"), api_version="v1", headers={"x-goog-api-key": KEY}
    )
    token = Credentials(token="any")  # type: ignore[no-untyped-call]
    direct = genai.Client(vertexai=True, project="proj-1", location="global", credentials=token, http_options=options)
    made = direct.models.generate_images(model="imagen-4.0-generate-001", prompt="A fox")
    assert made.generated_images is not None
    assert made.generated_images[0].image is not None
    for model, tokens in {"gemini-embedding-001": None, "text-embedding-005": 3.0}.items():
        vectors = direct.models.embed_content(model=model, contents="abcd").embeddings
        assert vectors is not None
        assert vectors[0].values == [4, 0.5]
        if tokens is not None:
            assert vectors[0].statistics is not None
            assert vectors[0].statistics.token_count == tokens


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_model_draws(provider: str, gpt: openai.OpenAI, google: GeminiServer) -> None:
    made = gpt.images.generate(model=f"{provider}.gemini-2.5-flash-image", prompt="A fox", size="1536x1024", user="u")
    assert made.data is not None
    assert [each.b64_json for each in made.data] == [PNG]
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.output_tokens) == (9, 1290)
    [(path, _, body)] = google.asked
    assert path.endswith("/models/gemini-2.5-flash-image:generateContent")
    assert path.startswith(VERTEX if provider == "vertex" else "/v1beta/")
    config = {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "3:2"}}
    assert body == {"contents": [{"role": "user", "parts": [{"text": "A fox"}]}], "generationConfig": config}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_imagen_draws_several(provider: str, gpt: openai.OpenAI, google: GeminiServer) -> None:
    model = f"{provider}.imagen-4.0-generate-001"
    made = gpt.images.generate(model=model, prompt="A fox", n=2, size="2048x2048", response_format="url")
    assert made.data is not None
    assert [each.url for each in made.data] == [f"data:image/png;base64,{PNG}"] * 2
    [(path, _, body)] = google.asked
    assert path.endswith("/models/imagen-4.0-generate-001:predict")
    parameters = {"sampleCount": 2, "aspectRatio": "1:1", "sampleImageSize": "2K"}
    assert body == {"instances": [{"prompt": "A fox"}], "parameters": parameters}


def test_a_model_edits_what_it_is_shown(gpt: openai.OpenAI, google: GeminiServer) -> None:
    files = [("a.png", io.BytesIO(b"first"), "image/png"), ("b.webp", io.BytesIO(b"second"), "image/webp")]
    made = gpt.images.edit(model=DRAWN, image=files, prompt="Both in one")
    assert made.data is not None
    assert made.data[0].b64_json == PNG
    [(_, _, body)] = google.asked
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"first").decode()}},
        {"inlineData": {"mimeType": "image/webp", "data": base64.b64encode(b"second").decode()}},
        {"text": "Both in one"},
    ]


def test_a_shown_image_may_be_a_data_url(url: str, google: GeminiServer) -> None:
    images = [{"image_url": f"data:image/png;base64,{PNG}"}]
    asked = {"model": DRAWN, "prompt": "Larger", "images": images}
    assert httpx.post(f"{url}/v1/images/edits", json=asked, timeout=WAIT).status_code == 200
    parts = google.asked[0][2]["contents"][0]["parts"]
    assert parts == [{"inlineData": {"mimeType": "image/png", "data": PNG}}, {"text": "Larger"}]


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        (DRAWN, {"n": 2}, "n"),
        (DRAWN, {"size": "1000x300"}, "size"),
        (DRAWN, {"size": "large"}, "size"),
        (DRAWN, {"background": "transparent"}, "background"),
        (DRAWN, {"output_format": "webp"}, "output_format"),
        (DRAWN, {"stream": True}, "stream"),
        (DRAWN, {"aspect_ratio": "2:1"}, "aspect_ratio"),
        (IMAGINED, {"n": 5}, "n"),
        (IMAGINED, {"size": "1536x1024"}, "size"),
    ],
)
def test_what_google_cannot_do_is_refused(model: str, asked: Any, param: str, url: str, google: GeminiServer) -> None:
    body = {"model": model, "prompt": "A fox", **asked}
    answer = httpx.post(f"{url}/v1/images/generations", json=body, timeout=WAIT)
    assert answer.status_code == 400, answer.text
    assert param in answer.text
    assert not google.asked


def test_imagen_edits_nothing(gpt: openai.OpenAI, google: GeminiServer) -> None:
    with pytest.raises(openai.BadRequestError):
        gpt.images.edit(model=IMAGINED, image=("a.png", io.BytesIO(b"x"), "image/png"), prompt="p")
    shown: Any = {"image": ("a.png", io.BytesIO(b"x"), "image/png"), "mask": ("m.png", io.BytesIO(b"x"), "image/png")}
    with pytest.raises(openai.BadRequestError, match="mask"):
        gpt.images.edit(model=DRAWN, prompt="p", **shown)
    assert not google.asked


def test_a_blocked_image_is_a_matter_of_content(gpt: openai.OpenAI, google: GeminiServer) -> None:
    google.image = ""
    with pytest.raises(openai.BadRequestError, match="IMAGE_SAFETY") as raised:
        gpt.images.generate(model=DRAWN, prompt="A fox")
    assert raised.value.code == "content_policy_violation"
    assert len(google.asked) == 1, "the same model would block it again"


@pytest.mark.parametrize(
    ("model", "method", "calls"), [("gemini-embedding-001", "embedContent", 3), ("text-embedding-005", "predict", 1)]
)
def test_vertex_embeds(model: str, method: str, calls: int, gpt: openai.OpenAI, google: GeminiServer) -> None:
    more = {"input_type": "search_query"}
    made = gpt.embeddings.create(
        model=f"vertex.{model}", input=["a", "bb", "ccc"], dimensions=2, encoding_format="float", extra_body=more
    )
    assert [(each.index, each.embedding) for each in made.data] == [(0, [1, 0.5]), (1, [2, 0.5]), (2, [3, 0.5])]
    assert made.usage.prompt_tokens == 9
    assert [path for path, _, _ in google.asked] == [f"{VERTEX}/models/{model}:{method}"] * calls
    if method == "predict":
        instances = [{"content": text, "task_type": "RETRIEVAL_QUERY"} for text in ("a", "bb", "ccc")]
        assert google.asked[0][2] == {"instances": instances, "parameters": {"outputDimensionality": 2}}
    else:
        config = {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2}
        asked = sorted((body for _, _, body in google.asked), key=lambda body: str(body["content"]))
        assert asked[0] == {"content": {"parts": [{"text": "a"}]}, "embedContentConfig": config}


def test_gemini_embeds_a_hundred_at_once(gpt: openai.OpenAI, google: GeminiServer) -> None:
    texts = ["x" * (n % 9 + 1) for n in range(250)]
    made = gpt.embeddings.create(model="gemini.gemini-embedding-001", input=texts, encoding_format="float")
    assert [each.embedding[0] for each in made.data] == [len(text) for text in texts]
    assert sorted(len(body["requests"]) for _, _, body in google.asked) == [50, 100, 100]
