"""Images by services with APIs of their own."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

import modelmesh
from tests.support.providers.services.media import PICTURE
from tests.support.providers.services.server import ServicesServer
from tests.support.waiting import until

MODELS = ("stability.stable-image-core", "fal.fal-ai/flux/schnell", "replicate.black-forest-labs/flux-schnell")


@pytest.mark.parametrize("model", MODELS)
def test_each_gives_the_same_shape(client: Any, model: str) -> None:
    answer = client.images.generate(model=model, prompt="a lighthouse", n=2, size="1024x1024")
    assert [base64.b64decode(each.b64_json) for each in answer.data] == [PICTURE] * 2
    assert abs(answer.created - time.time()) < 60
    told = client.images.generate(model=model, prompt="a lighthouse", response_format="url")
    [image] = told.data
    assert image.url.startswith("data:image/png;base64," if model.startswith("stability") else "http://127.0.0.1:")
    assert "b64_json" not in image.to_dict()


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        ("fal.fal-ai/flux/schnell", {"size": "1536x1024"}, {"image_size": {"width": 1536, "height": 1024}}),
        ("fal.fal-ai/imagen4/preview", {"size": "1536x1024"}, {"aspect_ratio": "3:2"}),
        ("fal.fal-ai/flux/schnell", {"extra_body": {"seed": 4, "aspect_ratio": "21:9"}},
         {"seed": 4, "aspect_ratio": "21:9"}),
        ("replicate.black-forest-labs/flux-schnell", {"size": "1024x1792", "output_format": "jpeg"},
         {"aspect_ratio": "9:16", "output_format": "jpg"}),
        ("own", {}, {"prompt": "a lighthouse"}),
    ],
)  # fmt: skip
def test_what_is_sent(
    client: Any, services: ServicesServer, model: str, asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    client.images.generate(model=model, prompt="a lighthouse", **asked)
    name = "fal" if model.startswith("fal") else "replicate"
    posts = [each for each in services.sent[name] if each.method == "POST"]
    body = json.loads(posts[-1].body)
    assert sent.items() <= body.get("input", body).items()
    if model == "own":
        assert (posts[-1].path, body["version"]) == ("/v1/predictions", "v1")


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        ("stability.stable-image-core", {"size": "1000x300"}, "size"),
        ("stability.stable-image-core", {"size": "large"}, "size"),
        ("stability.stable-image-core", {"n": 40}, "n"),
        ("fal.fal-ai/flux/schnell", {"background": "transparent"}, "background"),
        ("replicate.black-forest-labs/flux-schnell", {"stream": True}, "stream"),
    ],
)
def test_what_it_cannot_do_is_named(client: Any, model: str, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(modelmesh.InvalidRequestError) as refused:
        client.images.generate(model=model, prompt="a lighthouse", **asked)
    assert str(refused.value.param).startswith(param)


def test_images_are_paid_for(client: Any) -> None:
    """0.03 USD each at Stability, 0.003 at Replicate."""
    for model, cost in ((MODELS[0], 0.06), (MODELS[2], 0.006)):
        assert client.images.generate(model=model, prompt="x", n=2).mesh.cost == pytest.approx(cost)


@pytest.mark.parametrize(("model", "prompt"), [(MODELS[0], "FILTERED"), (MODELS[1], "BAD"), (MODELS[2], "BAD")])
def test_what_a_provider_will_not_make_is_told(client: Any, model: str, prompt: str) -> None:
    with pytest.raises(modelmesh.APIError):
        client.images.generate(model=model, prompt=prompt)
    assert client.images.generate(model=model, prompt="a lighthouse").data, "the model is still there"


@pytest.mark.parametrize(("model", "cancel"), [(MODELS[1], "PUT"), (MODELS[2], "POST")])
def test_a_job_ends_with_its_call(client: Any, services: ServicesServer, model: str, cancel: str) -> None:
    with pytest.raises(modelmesh.APITimeoutError):
        client.images.generate(model=model, prompt="SLOW", timeout=1.0)
    sent = services.sent[model.partition(".")[0]]
    until(lambda: sent[-1].path.endswith("/cancel") and sent[-1].method == cancel)


@pytest.mark.parametrize("wrong", ["429", "500", "402"])
def test_another_is_asked_if_one_fails(client: Any, wrong: str) -> None:
    answer = client.images.generate(model=f"pictures-{wrong}", prompt=f"stability:{wrong}")
    assert answer.mesh.model == "fal.fal-ai/flux/schnell"
