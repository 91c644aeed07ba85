"""The client against the daemon itself: the fixture `mesh`, and a mesh inside the process."""

from __future__ import annotations

import pytest

import modelmesh
from modelmesh.testing import SCRIPTED
from tests.support.client.calls import ask, says

pytest.importorskip("meshd.mesh")
ECHO = "[scripted] "


def test_the_fixture_runs_a_daemon_and_restarts_it_under_its_clients(mesh):
    client = mesh.client()
    reply = client.chat.completions.create(messages=says("hi"))
    assert reply.choices[0].message.content == ECHO + "hi"
    assert reply.mesh.provider == "scripted"
    mesh.restart()
    assert client.chat.completions.create(messages=says("again")).choices[0].message.content == ECHO + "again"
    assert client.mesh.capabilities.resolve("chat-completion") == "generation.text-generation.chat-completion"
    with pytest.raises(modelmesh.NotFoundError):
        ask(client, "hi")


@pytest.mark.mesh_config({**SCRIPTED, "pools": {"mine": {"capability": "chat-completion"}}})
async def test_the_fixture_takes_a_configuration(mesh):
    async with mesh.async_client() as client:
        stream = await client.chat.completions.create(model="mine", messages=says("a b"), stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == ECHO + "a b"
        assert stream.mesh.pool == "mine"
        assert {pool.name for pool in await client.mesh.pools()} >= {"mine"}


def test_a_mesh_inside_the_process():
    with modelmesh.create("chat-completion", config=SCRIPTED, strategy="round-robin") as client:
        reply = client.chat.completions.create(messages=says("hi"))
        assert reply.choices[0].message.content == ECHO + "hi"
        stream = client.chat.completions.create(messages=says("a b"), stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ECHO + "a b"
    with pytest.raises(modelmesh.MeshError):
        client.chat.completions.create(messages=says("hi"))


def test_embedding_only_some_of_a_configurations_models():
    with modelmesh.create("chat-completion", config=SCRIPTED, models=["scripted.one"]) as client:
        assert {model.id for model in client.mesh.models()} == {"scripted.one"}
    with pytest.raises(ValueError, match="no such"):
        modelmesh.create("chat-completion", config=SCRIPTED, models=["no such"])


def test_a_client_that_outlives_its_embedded_mesh_is_told():
    from meshd import MeshConfig, ModelMesh

    mesh = ModelMesh()
    mesh.initialize(MeshConfig.from_dict(SCRIPTED))
    with mesh.get_client() as client:
        assert client.mesh.status().version
        mesh.shutdown()
        with pytest.raises(modelmesh.DaemonUnavailableError):
            client.chat.completions.create(messages=says("hi"), timeout=5)
