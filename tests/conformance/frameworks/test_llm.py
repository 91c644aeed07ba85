"""llm, whose models take a client by being subclassed."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def model(door):
    models = pytest.importorskip("llm.default_plugins.openai_models")

    class MeshChat(models.Chat):
        def get_client(self, key, *, async_=False):
            return door.openai()

    kind, given = (MeshChat, {}) if door.kind == "mesh" else (models.Chat, {"api_base": door.base_url})
    return lambda name: kind(name, model_name=name, supports_tools=True, supports_schema=True, **given)


def test_chat(model):
    assert model("echo").prompt("hi there", system="be brief", stream=False, key="-").text() == "[scripted] hi there"


def test_stream(model):
    texts = list(model("echo").prompt("hi there", stream=True, key="-"))
    assert "".join(texts) == "[scripted] hi there"
    assert len(texts) > 1


def test_tools(model, weather):
    assert "It is sunny in Paris" in model("agent").chain("Paris?", tools=[weather], key="-").text()


def test_schema(model, person):
    answer = model("schema").prompt("who?", schema=person, stream=False, key="-").text()
    assert json.loads(answer) == {"name": "Ada", "age": 36}
