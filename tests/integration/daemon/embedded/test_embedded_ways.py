"""The ways to begin an embedded mesh, and several of them beside each other and beside a daemon."""

from __future__ import annotations

import json
import time

import pytest

import modelmesh
from meshd.config import MeshConfig
from meshd.mesh import ModelMesh
from modelmesh import ConfigurationError, MeshError
from tests.support.daemons.embedded import MEMORY

pytestmark = pytest.mark.usefixtures("own_state")


def raw(**more):
    return {
        "providers": {"scripted": {"connector": "modelmesh.scripted.v1"}},
        "models": {"scripted.one": {"provider": "scripted", "capabilities": ["chat-completion"]}},
        "discovery": {"health": {"enabled": False}},
        **more,
    }


def hello(client):
    answer = client.chat.completions.create(model="chat-completion", messages=[{"role": "user", "content": "hi"}])
    return answer.choices[0].message.content


@pytest.mark.parametrize("how", ["mapping", "object", "text path", "path"])
def test_a_mesh_is_initialized_by(how, short):
    path = short / "mesh.json"
    path.write_text(json.dumps(raw(**MEMORY)))
    config = {
        "mapping": raw(**MEMORY),
        "object": MeshConfig.from_dict(raw(**MEMORY)),
        "text path": str(path),
        "path": path,
    }[how]
    with ModelMesh() as mesh:
        mesh.initialize(config)
        with mesh.get_client(timeout=10) as client:
            assert hello(client) == "[scripted] hi"
        mesh.reload_config(config)


@pytest.mark.parametrize("moment", ["before", "after", "refused"])
def test_a_client_of_a_mesh_that_does_not_run_is_refused_at_once(moment):
    mesh = ModelMesh()
    if moment == "after":
        mesh.initialize(raw(**MEMORY))
        mesh.shutdown()
    if moment == "refused":
        with pytest.raises(ConfigurationError):
            mesh.initialize({"nonsense": 1})
    began = time.monotonic()
    for ask in (mesh.get_client, lambda: mesh.config, lambda: mesh.get_router().list_pools(), mesh.export_state):
        with pytest.raises(MeshError, match="not running") as caught:
            ask()
        assert caught.value.code == "not_running"
    assert time.monotonic() - began < 5


def test_two_meshes_in_memory_beside_each_other_and_a_daemon(meshd, short):
    daemon = meshd(raw(), env={"XDG_STATE_HOME": str(short / "state-home"), "STATE_DIRECTORY": ""})
    with ModelMesh() as one, ModelMesh() as other:
        one.initialize(raw(**MEMORY))
        other.initialize(raw(**MEMORY))
        with one.get_client(timeout=10) as first, other.get_client(timeout=10) as second:
            assert hello(first) == hello(second) == "[scripted] hi"
    assert hello(daemon.client()) == "[scripted] hi"


def test_what_was_kept_in_memory_cannot_become_durable_midway(short):
    with ModelMesh() as mesh:
        mesh.initialize(raw(**MEMORY))
        with pytest.raises(ConfigurationError, match="restart"):
            mesh.reload_config(raw())


@pytest.mark.parametrize("kind", [dict, MeshConfig.from_dict])
def test_create_needs_no_state_directory(kind, short):
    first, second = (modelmesh.create("chat-completion", config=kind(raw())) for _ in range(2))
    with first, second:
        assert hello(first) == hello(second) == "[scripted] hi"
    assert not (short / "state-home").exists()


@pytest.mark.parametrize("how", ["argument", "configuration", "budget"])
def test_create_keeps_state_where_it_is_told_or_has_to(how, short):
    where = short / "kept"
    said = {"daemon": {"state_dir": str(where)}} if how == "configuration" else {}
    if how == "budget":
        where = short / "state-home" / "meshd"
        provider = {"connector": "modelmesh.scripted.v1", "budget": {"daily_limit": 1}}
        said = {"providers": {"scripted": provider}}
    options = {"state_dir": where} if how == "argument" else {}
    with modelmesh.create("chat-completion", config=raw(**said), **options) as client:
        assert hello(client) == "[scripted] hi"
    assert (where / "journal").is_dir()


def test_a_state_directory_is_an_embedded_meshs():
    with pytest.raises(ValueError, match="state_dir"):
        modelmesh.create("chat-completion", state_dir="/tmp/x")
