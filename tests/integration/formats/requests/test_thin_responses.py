"""`client.responses` of the thin client, over the mesh socket, with members of each format."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import modelmesh
from tests.integration.formats.conftest import FORMATS
from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Said
from tests.support.waiting import WAIT, until


@pytest.fixture
def client(daemon: Any) -> Iterator[Any]:
    with modelmesh.OpenAIClient(socket=str(daemon.socket), max_retries=0, timeout=WAIT) as made:
        yield made


@pytest.mark.parametrize("member", FORMATS)
def test_an_answer_and_its_events(client: Any, apis: SixApis, member: str) -> None:
    apis.answer = Said("Hello there", calls=(("f", {"a": 1}),))
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}]
    asked: Any = {"model": f"of-{member}", "input": "hi", "tools": tools}
    whole = client.responses.create(**asked)
    assert (whole.output_text, whole.status, whole.mesh.pool) == ("Hello there", "completed", f"of-{member}")
    events = list(client.responses.create(**asked, stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello there"
    last = events[-1]
    assert last.type == "response.completed"
    assert [item["type"] for item in last.response["output"]] == ["message", "function_call"]


@pytest.mark.parametrize("member", FORMATS)
def test_kept_ones(client: Any, apis: SixApis, member: str) -> None:
    first = client.responses.create(model=f"of-{member}", input="hi")
    second = client.responses.create(model=f"of-{member}", input="and now?", previous_response_id=first.id)
    assert client.responses.retrieve(second.id).output_text == second.output_text
    items = client.responses.input_items.list(second.id, order="asc", limit=2)
    assert [item.role for item in items.data] == ["user", "assistant"]
    assert items.has_more
    rest = client.responses.input_items.list(second.id, order="asc", after=items.last_id)
    assert [item.content[0].text for item in rest.data] == ["and now?"]
    client.responses.delete(first.id)
    with pytest.raises(modelmesh.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(modelmesh.NotFoundError):
        client.responses.input_items.list(first.id)


def test_in_the_background(client: Any, apis: SixApis) -> None:
    begun = client.responses.create(model="of-openai", input="hi", background=True)
    assert begun.status in ("queued", "in_progress", "completed")
    assert until(lambda: client.responses.retrieve(begun.id).status == "completed")
    with pytest.raises(modelmesh.BadRequestError):
        client.responses.cancel(client.responses.create(model="of-openai", input="hi").id)


def test_a_name_is_no_path(client: Any) -> None:
    with pytest.raises(modelmesh.NotFoundError):
        client.responses.retrieve("../models")


def test_the_asynchronous_client_has_the_same(daemon: Any, apis: SixApis) -> None:
    async def asked() -> None:
        async with modelmesh.AsyncOpenAIClient(socket=str(daemon.socket), max_retries=0, timeout=WAIT) as client:
            made = await client.responses.create(model="of-anthropic", input="hi")
            found = await client.responses.retrieve(made.id)
            items = await client.responses.input_items.list(made.id)
            assert (found.output_text, len(items.data)) == ("Hello there", 1)
            stream = await client.responses.create(model="of-anthropic", input="hi", stream=True)
            assert [event.type async for event in stream][-1] == "response.completed"
            await client.responses.delete(made.id)

    asyncio.run(asked())
