"""`client.mesh`: which paths it asks, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest

import modelmesh
from modelmesh import AsyncOpenAIClient, OpenAIClient
from modelmesh.protocol import REQUEST
from tests.support.client.fake_daemon import BOUND

CAPABILITIES = [
    {"id": "generation.text-generation.chat-completion", "alias": "chat-completion"},
    {"id": "generation.text-generation.code-generation", "alias": "code-generation"},
    {"id": "a.twin", "alias": "twin"},
    {"id": "b.twin", "alias": "twin"},
]
ANSWERS = {
    "/mesh/v1/status": {"version": "0.1.0"},
    "/mesh/v1/pools": {"data": [{"name": "p", "active": 1}, {"name": "q", "active": 0}]},
    "/mesh/v1/pools/a%2Fb": {"name": "a/b"},
    "/mesh/v1/models": {"data": [{"id": "m"}]},
    "/mesh/v1/providers": {
        "data": [
            {"name": "on", "enabled": True, "available": True},
            {"name": "off", "enabled": False, "available": True},
            {"name": "down", "enabled": True, "available": False},
        ]
    },
    "/mesh/v1/apps": {"data": [{"name": "mail"}]},
    "/mesh/v1/budget": {"timezone": "UTC", "data": [{"scope": "app", "name": "mail", "limit": 5.0}]},
    "/mesh/v1/capabilities": {"data": CAPABILITIES},
    "/mesh/v1/describe": {"pools": ["p"]},
    "/mesh/v1/explain": {"model": "m"},
    "/mesh/v1/rotate": {"model": "next"},
}


@pytest.fixture(params=["blocking", "asyncio"])
def mesh_call(request, start, socket_path):
    """Calls a method of `client.mesh` by its name; returns its result and the request that came."""
    daemon = start(lambda daemon, peer, message: daemon.respond(peer, message, ANSWERS[message.head.path]))

    def method(client, name):
        for part in name.split("."):
            client = getattr(client, part)
        return client

    async def in_loop(name, arguments, keywords):
        async with modelmesh.AsyncOpenAIClient(socket_path, timeout=BOUND) as client:
            return await method(client.mesh, name)(*arguments, **keywords)

    def call(name, *arguments, **keywords):
        if request.param == "asyncio":
            result = asyncio.run(in_loop(name, arguments, keywords))
        else:
            with modelmesh.OpenAIClient(socket_path, timeout=BOUND) as client:
                result = method(client.mesh, name)(*arguments, **keywords)
        return result, daemon.of_kind(REQUEST)[-1]

    return call


def test_objects_and_lists(mesh_call):
    assert mesh_call("status")[0].version == "0.1.0"
    assert [pool.name for pool in mesh_call("pools")[0]] == ["p", "q"]
    assert mesh_call("pool_status")[0]["q"].active == 0
    assert mesh_call("pool_status", "a/b")[0].name == "a/b"
    assert [model.id for model in mesh_call("models")[0]] == ["m"]
    assert [provider.name for provider in mesh_call("active_providers")[0]] == ["on"]
    assert [app.name for app in mesh_call("apps")[0]] == ["mail"]
    assert [row.limit for row in mesh_call("budget")[0]] == [5.0]
    assert mesh_call("describe")[0].pools == ["p"]
    assert mesh_call("request", "GET", "/mesh/v1/status")[0].version == "0.1.0"


def test_bodies(mesh_call):
    result, request = mesh_call("explain", model="p", stream=True, tools=[])
    assert (result.model, request.head.method) == ("m", "POST")
    assert json.loads(request.body) == {"model": "p", "stream": True, "tools": []}
    assert not request.head.stream
    _, request = mesh_call("rotate", "p")
    assert json.loads(request.body) == {"pool": "p"}


def test_capabilities(mesh_call):
    assert len(mesh_call("capabilities.list_all")[0]) == 4
    full = "generation.text-generation.chat-completion"
    assert mesh_call("capabilities.resolve", "chat-completion")[0] == full
    assert mesh_call("capabilities.resolve", full)[0] == full
    assert [found.alias for found in mesh_call("capabilities.search", "Code")[0]] == ["code-generation"]
    with pytest.raises(ValueError, match="ambiguous"):
        mesh_call("capabilities.resolve", "twin")
    with pytest.raises(ValueError, match="nothing"):
        mesh_call("capabilities.resolve", "nothing")


def test_the_twins_differ_in_nothing_but_waiting():
    def shape(owner):
        return {
            name: [(parameter.name, parameter.kind, parameter.default) for parameter in signature.parameters.values()]
            for name, member in inspect.getmembers(owner, inspect.isfunction)
            if not name.startswith("_") and (signature := inspect.signature(member))
        }

    blocking, waiting = OpenAIClient("/x"), AsyncOpenAIClient("/x")
    assert shape(OpenAIClient) == shape(AsyncOpenAIClient)
    for name in ("chat.completions", "completions", "embeddings", "models", "mesh", "mesh.capabilities"):
        one, other = blocking, waiting
        for part in name.split("."):
            one, other = getattr(one, part), getattr(other, part)
        assert shape(type(one)) == shape(type(other)), name
