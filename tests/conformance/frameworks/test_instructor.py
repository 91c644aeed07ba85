"""instructor."""

from __future__ import annotations

import pytest

instructor = pytest.importorskip("instructor")
SAID = [{"role": "user", "content": "hi there"}]


@pytest.fixture
def client(door):
    with door.openai() as client:
        yield client


def test_chat(client):
    answer = instructor.from_openai(client).chat.completions.create(model="echo", response_model=None, messages=SAID)
    assert answer.choices[0].message.content == "[scripted] hi there"


@pytest.mark.parametrize(
    ("mode", "model"),
    [("TOOLS", "person-tool"), ("TOOLS_STRICT", "person-tool"), ("JSON_SCHEMA", "schema"), ("JSON", "schema")],
)
def test_tools_and_schemas(client, person, mode, model):
    asking = instructor.from_openai(client, mode=getattr(instructor.Mode, mode))
    answer = asking.chat.completions.create(model=model, response_model=person, messages=SAID, max_retries=0)
    assert (answer.name, answer.age) == ("Ada", 36)


def test_stream(client, person):
    asking = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
    parts = list(asking.chat.completions.create_partial(model="schema", response_model=person, messages=SAID))
    assert (parts[-1].name, parts[-1].age) == ("Ada", 36)


async def test_asyncio(door, person):
    async with door.async_openai() as client:
        asking = instructor.from_openai(client)
        answer = await asking.chat.completions.create(model="person-tool", response_model=person, messages=SAID)
    assert answer.age == 36
