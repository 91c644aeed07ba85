"""An embedded mesh that cannot start leaves nothing behind."""

from __future__ import annotations

import os

import pytest

from meshd.actors.prepare import Prepare
from meshd.config import MeshConfig
from meshd.mesh import ModelMesh
from meshd.messages import Listen
from modelmesh import ConfigurationError

pytestmark = pytest.mark.usefixtures("own_state")


def test_an_invalid_configuration_leaves_nothing(nothing_left, short):
    with pytest.raises(ConfigurationError) as caught:
        ModelMesh(state_dir=short / "state").initialize(MeshConfig.from_dict({"providers": {"a": {"colour": 1}}}))
    assert caught.value.problems[0]["path"] == "providers.a"
    assert not (short / "state").exists()


def test_a_missing_secret_leaves_nothing(nothing_left, short):
    config = {"providers": {"openai": {"connector": "openai.llm.v1", "api_key": "${secrets:NO_SUCH_KEY}"}}}
    config["secrets"] = {"fail_on_missing": True}
    with pytest.raises(ConfigurationError, match="NO_SUCH_KEY"):
        ModelMesh(state_dir=short / "state").initialize(MeshConfig.from_dict(config))


def test_a_socket_that_cannot_be_bound_leaves_nothing(file, nothing_left, short, eventually):
    mesh = ModelMesh(sockets=[Listen(f"ipc://{short}/ok"), Listen(f"ipc://{short}/no/such/dir/s")])
    with pytest.raises(Exception, match=r"."):
        mesh.start(_source(file))
    eventually(lambda: not (short / "ok").exists())
    assert not mesh.healthy()


@pytest.mark.parametrize("actor", ["telemetry", "secret", "state", "router", "config", "health", "discovery"])
def test_an_actor_that_cannot_be_made_leaves_nothing(file, nothing_left, short, actor, monkeypatch, eventually):
    import importlib

    module = importlib.import_module(f"meshd.actors.{actor}")
    name = next(name for name in vars(module) if name.lower() == f"{actor}actor")

    def broken(*arguments, **options):
        raise RuntimeError(f"no {actor}")

    monkeypatch.setattr(module, name, broken)
    if actor in ("router", "config"):
        monkeypatch.setattr(f"meshd.mesh.{name}", broken)
    descriptors = len(os.listdir("/proc/self/fd"))
    mesh = ModelMesh(sockets=[Listen(f"ipc://{short}/s")], state_dir=short / "state")
    with pytest.raises(RuntimeError, match=f"no {actor}"):
        mesh.start(_source(file))
    assert not (short / "s").exists()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


@pytest.mark.parametrize("actor", ["telemetry", "secret", "state", "router", "health", "discovery"])
def test_an_actor_that_objects_leaves_nothing(file, nothing_left, short, actor, monkeypatch):
    import importlib

    module = importlib.import_module(f"meshd.actors.{actor}")
    cls = next(value for name, value in vars(module).items() if name.lower() == f"{actor}actor")
    monkeypatch.setattr(cls, "prepare", lambda self, message: ("not with me",), raising=False)
    monkeypatch.setitem(cls.handlers, Prepare, "prepare")
    with pytest.raises(ConfigurationError, match=f"{actor}: not with me"):
        ModelMesh.from_yaml(file, state_dir=short / "state")


def _source(file):
    from meshd.config.source import ConfigSource

    return ConfigSource.of_file(file)
