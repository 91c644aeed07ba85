"""What images cost: by quality and size, or by the tokens that the provider reports; and budgets that hold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from modelmesh import BudgetExceededError
from tests.support.providers.media_server import MediaServer

ROWS = [
    {"quality": "low", "size": "1024x1024", "price": 0.01},
    {"quality": "high", "size": "1024x1024", "price": 0.167},
    {"quality": "high", "size": "1024x1536", "price": 0.25},
    {"quality": "low", "size": "1024x1536", "price": 0.016},
]
TOKENS = {"input_per_1m": 5, "image_input_per_1m": 10, "output_per_1m": 40, "per_partial_image": 0.004}
LIMIT = 0.6


@pytest.fixture(scope="module")
def painter() -> Iterator[MediaServer]:
    server = MediaServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def config(painter: MediaServer) -> dict[str, Any]:
    def model(**pricing: Any) -> dict[str, Any]:
        return {"provider": "up", "capabilities": ["text-to-image"], "pricing": pricing}

    models = {
        "up.table": model(images=ROWS),
        "up.other": model(images=ROWS, per_image=0.3),
        "up.tokens": model(images=ROWS, **TOKENS),
        "up.best": {**model(images=ROWS), "overrides": {"quality": "high"}},
        "up.plain": {**model(images=ROWS), "defaults": {"quality": "low", "size": "1024x1024"}},
    }
    providers = {
        name: {"connector": "openai-compatible.v1", "base_url": painter.url, "api_key": "sk"} for name in ("up", "low")
    }
    providers["low"]["budget"] = {"daily_limit": LIMIT}
    models["low.table"] = {**models["up.table"], "provider": "low"}
    return {"providers": providers, "models": models, "discovery": {"health": {"enabled": False}}}


@pytest.fixture(scope="module")
def mesh(module_meshd: Any, config: dict[str, Any]) -> Any:
    return module_meshd(config)


@pytest.fixture
def client(mesh: Any, painter: MediaServer) -> Iterator[Any]:
    painter.said, painter.said_of_each = {}, [{}]
    with mesh.client() as made:
        yield made


def cost(client: Any, model: str, **asked: Any) -> float:
    return float(client.images.generate(model=model, prompt="a cat", **asked).mesh.cost)


def test_what_the_request_says_is_what_it_costs(client: Any) -> None:
    assert cost(client, "up.table", quality="LOW", size="1024x1024") == pytest.approx(0.01)
    assert cost(client, "up.table", quality="high", size="1024x1536", n=2) == pytest.approx(0.5)
    assert cost(client, "up.plain") == pytest.approx(0.01)
    assert cost(client, "up.best", quality="low", size="1024x1024") == pytest.approx(0.167)
    assert cost(client, "up.other", quality="high", size="9x9") == pytest.approx(0.3)


def test_the_answer_says_what_the_request_left_open(client: Any, painter: MediaServer) -> None:
    assert cost(client, "up.table", quality="auto") == pytest.approx(0.25), "nothing is known"
    painter.said = {"quality": "low", "size": "1024x1024"}
    assert cost(client, "up.table", quality="auto") == pytest.approx(0.01)
    assert cost(client, "up.table", quality="high", size="1024x1536") == pytest.approx(0.25), "it was asked for"
    for odd in ({"quality": ["low"], "size": None}, {"quality": "x" * 70, "size": 7}, {"quality": "new"}):
        painter.said = odd
        assert cost(client, "up.table") == pytest.approx(0.25)


def streamed(client: Any, model: str, **asked: Any) -> float:
    stream = client.images.generate(model=model, prompt="a cat", stream=True, **asked)
    assert list(stream)[-1].type == "image_generation.completed"
    return float(stream.mesh.cost)


def test_the_end_of_a_stream_says_it_too(client: Any, painter: MediaServer) -> None:
    assert streamed(client, "up.table", quality="auto") == pytest.approx(0.25), "nothing is known"
    painter.said = {"quality": "low", "size": "1024x1024"}
    assert streamed(client, "up.table", quality="auto") == pytest.approx(0.01)
    assert streamed(client, "up.table", quality="high", size="1024x1536") == pytest.approx(0.25), "it was asked for"
    painter.said = {"quality": ["low"], "size": 7}
    assert streamed(client, "up.table") == pytest.approx(0.25)


def test_images_of_several_kinds_in_one_stream_cost_what_the_dearest_may(client: Any, painter: MediaServer) -> None:
    low, high = {"quality": "low", "size": "1024x1024"}, {"quality": "high", "size": "1024x1024"}
    for each, price in (([low, low], 2 * 0.01), ([high, low], 2 * 0.167), ([low, {}], 2 * 0.25), ([low], 2 * 0.25)):
        painter.said_of_each = each
        assert streamed(client, "up.table", n=2) == pytest.approx(price)


def test_tokens_are_paid_where_they_are_reported(client: Any, painter: MediaServer) -> None:
    """Also those of a size that costs a little more than the table, which is rounded, says."""
    details = {"text_tokens": 9, "image_tokens": 0}
    painter.said = {"usage": {"input_tokens": 9, "output_tokens": 4160, "input_tokens_details": details}}
    asked = {"quality": "high", "size": "1024x1024"}
    assert cost(client, "up.tokens", **asked) == pytest.approx((9 * 5 + 4160 * 40) / 1e6)
    painter.said["usage"]["output_tokens"] = 408
    assert cost(client, "up.tokens", quality="low", size="1024x1536") == pytest.approx((9 * 5 + 408 * 40) / 1e6)
    painter.said["usage"]["output_tokens"] = 4160
    stream = client.images.generate(model="up.tokens", prompt="a cat", stream=True, partial_images=1, **asked)
    assert list(stream)[-1].type == "image_generation.completed"
    assert stream.mesh.cost == pytest.approx((9 * 5 + 4160 * 40) / 1e6)
    assert stream.usage is not None
    painter.said = {"quality": "high", "size": "1024x1024"}  # without a report, at most what was reserved
    assert 0.167 <= cost(client, "up.tokens", **asked) < 0.168
    painter.said = {"usage": {"input_tokens": 9, "output_tokens": 10**7}}  # which cannot be
    assert 0.167 <= cost(client, "up.tokens", **asked) < 0.168


def test_images_that_are_shown_have_a_price_of_their_own(client: Any, painter: MediaServer) -> None:
    details = {"text_tokens": 10, "image_tokens": 646}
    painter.said = {"usage": {"input_tokens": 656, "output_tokens": 272, "input_tokens_details": details}}
    asked = {"model": "up.tokens", "prompt": "a hat", "image": [b"one", b"two"], "mask": b"three"}
    edited = client.images.edit(**asked)
    assert edited.mesh.cost == pytest.approx((10 * 5 + 646 * 10 + 272 * 40) / 1e6)
    del painter.said["usage"]["input_tokens_details"]  # then all of them may be of images
    assert client.images.edit(**asked).mesh.cost == pytest.approx((656 * 10 + 272 * 40) / 1e6)
    body = {"prompt": "a hat", "images": [{"file_id": "a"}] * 3}
    found = client.mesh.explain(model="up.tokens", path="/v1/images/edits", **body).to_dict()
    assert found["needs"]["images"] == 3
    assert found["candidates"][0]["reservation"]["cost"] > 3 * 12_000 * 10 / 1e6


def test_a_size_without_a_price_is_refused_under_a_budget(client: Any) -> None:
    with pytest.raises(BudgetExceededError, match="`size`"):
        cost(client, "low.table", quality="high", size="4096x4096")
    assert cost(client, "up.table", quality="high", size="4096x4096") == pytest.approx(0.25)


def test_a_budget_is_not_overrun(client: Any, painter: MediaServer) -> None:
    """By many at once, each of which is cheap in the end, and may be dear."""
    painter.said = {"quality": "low", "size": "1024x1024"}

    def ask(_: int, **asked: str) -> float:
        try:
            return cost(client, "low.table", **asked)
        except BudgetExceededError:
            return 0.0

    with ThreadPoolExecutor(8) as many:
        paid = sum(many.map(ask, range(24)))
    assert 0 < paid <= LIMIT
    painter.said = {}
    paid += sum(ask(each, quality="high", size="1024x1536") for each in range(4))
    assert 0.25 <= paid <= LIMIT + 1e-9
