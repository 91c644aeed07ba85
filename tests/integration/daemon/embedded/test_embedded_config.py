"""What a program does to the configuration of a mesh it embeds: where it is read, kept and written."""

from __future__ import annotations

import json
import os
import stat

import pytest

from meshd import messages
from meshd.config import MeshConfig
from meshd.config.source import ConfigSource
from meshd.mesh import ModelMesh
from meshd.sdk.storage import StorageError
from modelmesh import ConfigurationError, NotFoundError
from tests.support.daemons.embedded import hello

pytestmark = pytest.mark.usefixtures("own_state")


def pools(mesh):
    router = mesh.get_router()
    return {
        name: [model["id"] for model in router.get_pool(name).get_state()["models"]] for name in router.list_pools()
    }


# -- where it is from -------------------------------------------------------------------------------------


def test_what_is_merged_into_a_file_counts_until_the_file_is_read_again(file):
    config = MeshConfig.from_file(file).merge({"providers": {"first": {"script": [{"reply": "merged"}]}}})
    with ModelMesh() as mesh:
        mesh.initialize(config)
        assert hello(mesh).choices[0].message.content == "merged"
        mesh.reload_config()
        assert hello(mesh).choices[0].message.content == "first"


def test_a_configuration_given_to_a_reload_keeps_its_file(file, short):
    (short / "keys").write_text("KEY=1\n")
    (short / "keys").chmod(0o600)
    file.write_text(
        json.dumps(
            {
                **json.loads(file.read_text()),
                "secrets": {"store": [{"connector": "modelmesh.dotenv.v1", "path": "keys"}]},
            }
        )
    )
    with ModelMesh.from_yaml(file) as mesh:
        mesh.add_provider("third", connector="modelmesh.scripted.v1", api_key="${secrets:KEY}")
        assert mesh.config.file == str(file)
        assert "third" in mesh.config.providers


@pytest.mark.parametrize(
    "error", [OSError("gone"), StorageError("gone"), UnicodeDecodeError("utf-8", b"", 0, 1, "gone")], ids=repr
)
def test_a_source_that_fails_is_a_refused_reload(two, error):
    failing = []

    def read():
        if failing:
            raise error
        return MeshConfig.from_dict(two()), "somewhere"

    with ModelMesh() as mesh:
        mesh.start(ConfigSource(read))
        failing.append(True)
        with pytest.raises(ConfigurationError, match=r"cannot be read: .*gone"):
            mesh.reload_config()
        failing.clear()
        assert mesh.reload_config().ok
        actors = {actor["name"]: actor for actor in mesh.ask("supervisor", messages.Supervision())["actors"]}
        assert actors["config"]["restarts"] == 0


@pytest.mark.parametrize("setting", [{"socket": "/tmp/other.sock"}, {"socket_mode": "0600"}, {"socket_group": "root"}])
def test_the_socket_cannot_change_while_running(file, setting):
    with ModelMesh.from_yaml(file) as mesh:
        with pytest.raises(ConfigurationError, match="restart the daemon"):
            mesh.reload_config(mesh.config.merge({"daemon": setting}))
        assert hello(mesh).choices[0].message.content == "first"


@pytest.mark.parametrize("ending", ["yaml", "toml", "json"])
def test_a_saved_configuration_is_its_owners_alone(file, short, ending):
    target = short / f"saved.{ending}"
    target.write_text("old")
    target.chmod(0o644)
    before = os.umask(0)
    try:
        with ModelMesh.from_yaml(file) as mesh:
            mesh.save_config(path=target)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert MeshConfig.from_file(target).providers
    assert [path for path in short.iterdir() if path.name.startswith(".saved")] == []


# -- automatic pools --------------------------------------------------------------------------------------


@pytest.fixture
def automatic(two):
    config = {key: value for key, value in two().items() if key != "pools"}
    config["models"]["first.embed"] = {"provider": "first", "capabilities": ["text-embeddings"]}
    config["models"]["first.class"] = {"provider": "first", "capabilities": ["classification"]}
    with ModelMesh() as mesh:
        mesh.initialize(MeshConfig.from_dict(config))
        yield mesh


@pytest.mark.parametrize("name", ["text-generation", "chat-completion"])
def test_automatic_pools_stay_when_a_model_joins_one(automatic, name):
    before = pools(automatic)
    automatic.get_router().get_pool(name).add_model("first.class")
    assert pools(automatic) == {**before, name: ["first.class", "first.chat", "second.chat"]}


@pytest.mark.parametrize("name", ["text-generation", "chat-completion"])
def test_a_model_leaves_an_automatic_pool_and_comes_back(automatic, name):
    before = pools(automatic)
    pool = automatic.get_router().get_pool(name)
    pool.remove_model("second.chat")
    assert pools(automatic) == {**before, name: ["first.chat"]}
    pool.add_model("second.chat")
    assert {pool: sorted(members) for pool, members in pools(automatic).items()} == before | {
        pool: sorted(members) for pool, members in before.items()
    }


def test_unregistering_one_model_of_a_catalogue_leaves_the_others(short):
    with ModelMesh() as mesh:
        mesh.initialize(MeshConfig.from_dict({"providers": {"openai": {"connector": "openai.llm.v1", "api_key": "k"}}}))
        registry = mesh.get_registry()
        before = {model.id for model in registry.list_models()}
        gone = min(before)
        registry.unregister(gone)
        assert {model.id for model in registry.list_models()} == before - {gone}
        with pytest.raises(NotFoundError):
            registry.get_model(gone)
        registry.register(gone)
        assert gone in {model.id for model in registry.list_models()}
