"""The configuration of an embedded mesh: what is refused, and what changes while it runs."""

from __future__ import annotations

import pytest

from meshd.config import MeshConfig
from meshd.mesh import ModelMesh
from modelmesh import ConfigurationError, NotFoundError
from tests.support.daemons.embedded import MEMORY, hello

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.mark.parametrize("section", ["routing", "logging", "statistics"])
def test_unknown_keys_of_observability_are_refused(two, section):
    (problem,) = MeshConfig.from_dict({**two(), "observability": {section: {"colour": 1}}}).validate()
    assert (problem.path, problem.message) == (f"observability.{section}.colour", "unknown key")


def test_capabilities_that_nothing_can_be_asked_for_make_no_pool(two, nothing_left):
    config = {**two(), **MEMORY}
    del config["pools"]
    config["models"]["first.chat"]["capabilities"] += ["text-to-video", "audio-separation"]
    with ModelMesh() as mesh:
        mesh.initialize(config)
        pools = mesh.get_router().list_pools()
    assert "chat-completion" in pools
    assert not {"text-to-video", "audio-separation"} & set(pools)


def test_reload_says_what_changed(mesh, two):
    report = mesh.reload_config(MeshConfig.from_dict(two([{"reply": "changed"}])))
    assert report.ok
    assert any("providers.first" in change for change in report.changes)
    assert hello(mesh).choices[0].message.content == "changed"
    report = mesh.reload_config()
    assert any("providers.first" in change for change in report.changes)
    assert hello(mesh).choices[0].message.content == "first"


def test_a_refused_reload_raises_with_every_problem_and_changes_nothing(mesh):
    with pytest.raises(ConfigurationError) as caught:
        mesh.reload_config(
            MeshConfig.from_dict({"providers": {"a": {"enabled": "x"}}, "pools": {"b": {"strategy": "x"}}})
        )
    paths = {problem["path"] for problem in caught.value.problems}
    assert {"providers.a", "pools.b.strategy"} <= paths
    assert hello(mesh).choices[0].message.content == "first"


def test_add_provider_register_and_unregister(mesh):
    mesh.add_provider("third", connector="modelmesh.scripted.v1", script=[{"reply": "third"}])
    model = mesh.get_registry().register("third.chat", provider="third", capabilities=["classification"])
    assert model.get_capabilities() == ["understanding.text-understanding.classification"]
    assert hello(mesh, "third.chat").choices[0].message.content == "third"
    mesh.get_registry().unregister("third.chat")
    with pytest.raises(NotFoundError):
        mesh.get_registry().get_model("third.chat")


def test_save_config_to_files_that_can_be_read_again(mesh, short):
    for ending in ("yaml", "toml", "json"):
        mesh.save_config(path=short / f"saved.{ending}")
        assert MeshConfig.from_file(short / f"saved.{ending}").raw == mesh.config.raw
    with pytest.raises(ValueError, match="path"):
        mesh.save_config()
